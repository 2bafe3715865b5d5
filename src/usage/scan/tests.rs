use std::collections::HashMap;

use aws_smithy_types::body::SdkBody;

use super::*;
use crate::error::AwsDetail;
use crate::spec::Protocol;
use crate::usage::extract;

/// Fake AWS that answers every call with an empty page, except for the given answers; keys are
/// `action` or `action@region`.
#[derive(Default)]
struct Cloud {
    answers: HashMap<&'static str, fn() -> std::result::Result<&'static str, Error>>,
}

const REGION_LIST: &str = "<DescribeRegionsResponse><regionInfo>\
    <item><regionName>mx-central-1</regionName><optInStatus>opted-in</optInStatus></item>\
    <item><regionName>eu-west-1</regionName><optInStatus>opt-in-not-required</optInStatus></item>\
    <item><regionName>me-south-1</regionName><optInStatus>not-opted-in</optInStatus></item>\
    </regionInfo></DescribeRegionsResponse>";

/// Answer without records.
fn empty(step: &SourceCall) -> String {
    let list = step.records.split('.').next().unwrap_or_default();
    let action = step.action.name;
    match step.action.service.row().protocol {
        Protocol::Json { .. } | Protocol::Rest => format!("{{\"{list}\":[]}}"),
        _ => format!("<{action}Response><{list}/></{action}Response>"),
    }
}

impl Transport for Cloud {
    fn whereabouts(&self) -> BoxFuture<'static, Result<Whereabouts>> {
        let region = "eu-west-1".to_owned();
        let (account, partition) = ("123456789012".to_owned(), "aws".to_owned());
        Box::pin(async { Ok(Whereabouts { account, partition, region }) })
    }

    fn look(
        &self,
        step: &'static SourceCall,
        region: &str,
        _: &[String],
        _: Option<&str>,
        _: Patience,
    ) -> BoxFuture<'static, Result<RecordPage>> {
        let name = step.action.name;
        let at = format!("{name}@{region}");
        let answer = self.answers.get(at.as_str()).or_else(|| self.answers.get(name)).copied();
        Box::pin(async move {
            let body = match answer {
                Some(answer) => answer()?.to_owned(),
                None if name == "DescribeRegions" => REGION_LIST.to_owned(),
                None => empty(step),
            };
            extract::page(step.action.service.row().protocol, step, SdkBody::from(body)).await
        })
    }
}

struct Nobody;

impl Watch for Nobody {
    fn begins(&self, _: usize) {}
    fn checked(&self, _: Option<&GapCause>) {}
}

impl Cloud {
    fn with(
        mut self,
        call: &'static str,
        answer: fn() -> std::result::Result<&'static str, Error>,
    ) -> Self {
        self.answers.insert(call, answer);
        self
    }

    fn scan(self, asking: Asking) -> Result<Scan> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let scan = scan(Arc::new(self), asking, Arc::new(Nobody), Clock::Real);
        runtime.expect("a runtime").block_on(scan)
    }
}

fn refused(kind: Kind, code: &str) -> Error {
    let mut error = Error::new(kind, "no");
    error.aws = Some(Box::new(AwsDetail { code: code.to_owned(), ..AwsDetail::default() }));
    error
}

/// Checks with gaps: source, region, reason.
fn gaps(scan: &Scan) -> Vec<(String, String, Reason)> {
    let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("all").to_owned();
    let gaps = scan.gaps().iter();
    gaps.map(|gap| (text(&gap.source), text(&gap.region), gap.why.reason)).collect()
}

#[test]
fn every_source_is_asked_in_every_enabled_region() {
    let scan = Cloud::default().scan(Asking::default()).expect("a scan");
    assert!(scan.is_complete());
    assert_eq!(scan.checks().len(), 2 * SOURCES.len());
    assert!(scan.checks().iter().all(|check| &*check.region != "me-south-1"));
}

#[test]
fn an_answer_leads_to_no_other_host() {
    const ODD: &str = "<DescribeRegionsResponse><regionInfo><item>\
        <regionName>evil.example/</regionName></item></regionInfo></DescribeRegionsResponse>";
    let scan = Cloud::default().with("DescribeRegions", || Ok(ODD)).scan(Asking::default());
    let error = scan.map(|_| ()).expect_err("it is no region");
    assert!(error.message.contains("\"evil.example/\", which is no region"), "{error}");
}

#[test]
fn a_service_whose_name_does_not_exist_is_missing_only_where_it_may_be() {
    let no_host = || Err(refused(Kind::Connection, NO_SUCH_HOST));
    // Beanstalk does not exist in mx-central-1, but in eu-west-1.
    let scan = Cloud::default()
        .with("DescribeEnvironments", no_host)
        .scan(Asking::default())
        .expect("a scan");
    let name = "elasticbeanstalk.environments".to_owned();
    assert_eq!(gaps(&scan), [(name, "eu-west-1".to_owned(), Reason::Failed)]);
    let scan = Cloud::default().with("DescribeEnvironments@mx-central-1", no_host);
    let scan = scan.scan(Asking::default()).expect("a scan");
    assert!(scan.is_complete());
    let check = scan.checks().iter().find(|check| check.outcome == CheckOutcome::NotOffered);
    assert_eq!(check.map(|check| &*check.region), Some("mx-central-1"));
    // EC2 exists in every region.
    let scan = Cloud::default().with("DescribeInstances@mx-central-1", no_host);
    assert_eq!(gaps(&scan.scan(Asking::default()).expect("a scan")).len(), 1);
    // Another network error does not mean that the service does not exist.
    let scan = Cloud::default()
        .with("DescribeEnvironments@mx-central-1", || Err(refused(Kind::Connection, "")));
    assert_eq!(gaps(&scan.scan(Asking::default()).expect("a scan")).len(), 1);
}

#[test]
fn what_would_fail_everywhere_ends_the_scan() {
    for (kind, code) in
        [(Kind::Aws, "ExpiredToken"), (Kind::Aws, "RequestExpired"), (Kind::Credentials, "")]
    {
        let mut cloud = Cloud::default();
        cloud.answers.insert(
            "DescribeInstances",
            match (kind, code) {
                (Kind::Credentials, _) => || Err(refused(Kind::Credentials, "")),
                (_, "ExpiredToken") => || Err(refused(Kind::Aws, "ExpiredToken")),
                _ => || Err(refused(Kind::Aws, "RequestExpired")),
            },
        );
        let error = cloud.scan(Asking::default()).expect_err("no scan");
        assert_eq!((error.kind, error.code()), (kind, code));
    }
}

#[test]
fn credentials_are_wrong_everywhere_and_a_region_only_where_it_is() {
    let said = |code: &str, message: &str| {
        let mut error = refused(Kind::Aws, code);
        message.clone_into(&mut error.message);
        error
    };
    // Messages of AWS: `tests/refusals.rs` names their sources.
    for (code, message) in [
        ("ExpiredTokenException", "The security token included in the request is expired"),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match"),
        (
            "InvalidSignatureException",
            "Signature expired: 20260101T000000Z is now earlier than 20260915T000000Z (20260914T235500Z - 5 min.)",
        ),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time"),
    ] {
        assert!(is_everywhere(&said(code, message)), "{code}");
    }
    for (code, message) in [
        ("UnrecognizedClientException", "The security token included in the request is invalid"),
        ("InvalidClientTokenId", "The security token included in the request is invalid"),
        ("AuthFailure", "AWS was not able to validate the provided access credentials"),
        ("OptInRequired", "You are not subscribed to this service."),
        ("SignatureDoesNotMatch", "Credential should be scoped to a valid region. "),
        ("UnauthorizedOperation", "You are not authorized to perform this operation."),
        ("AccessDeniedException", "no"),
        ("AuthorizationError", "no"),
    ] {
        let error = said(code, message);
        assert!(!is_everywhere(&error), "{code}");
        assert_eq!(why(&error).reason, Reason::Denied, "{code}");
    }
    assert_eq!(why(&said("InternalError", "")).reason, Reason::Failed);
}

#[test]
fn a_page_that_comes_again_is_not_followed_for_ever() {
    let scan = Cloud::default()
        .with("DescribeInstances@eu-west-1", || {
            Ok("<DescribeInstancesResponse><reservationSet/><nextToken>a</nextToken></DescribeInstancesResponse>")
        })
        .scan(Asking::default())
        .expect("a scan");
    let name = "ec2.instances".to_owned();
    assert_eq!(gaps(&scan), [(name, "eu-west-1".to_owned(), Reason::Failed)]);
}

#[test]
fn what_is_gone_between_two_calls_is_no_gap_and_every_other_refusal_is() {
    let clusters = || Ok(r#"{"clusters":["prod"]}"#);
    let scan = Cloud::default()
        // EKS, EMR and ECS all list clusters; only the first has this answer.
        .with("ListNodegroups", || Err(refused(Kind::Aws, "ResourceNotFoundException")))
        .with("ListClusters", clusters);
    let asking = || Asking {
        sources: SOURCES.iter().filter(|source| source.name == "eks.node_groups").collect(),
        ..Asking::default()
    };
    let is_checked =
        |scan: &Scan| scan.checks().iter().all(|one| one.outcome == CheckOutcome::Whole);
    assert!(is_checked(&scan.scan(asking()).expect("a scan")));
    let scan = Cloud::default()
        .with("ListNodegroups", || Err(refused(Kind::Aws, "InvalidParameterException")))
        .with("ListClusters", clusters);
    assert!(!is_checked(&scan.scan(asking()).expect("a scan")));
    // The list itself always exists.
    let scan = Cloud::default()
        .with("ListClusters", || Err(refused(Kind::Aws, "ResourceNotFoundException")));
    assert!(!is_checked(&scan.scan(asking()).expect("a scan")));
}

#[test]
fn regions_that_are_asked_for_must_exist_and_be_enabled() {
    let asking = |regions: &[&str]| Asking {
        regions: Some(regions.iter().map(|&region| region.to_owned()).collect()),
        ..Asking::default()
    };
    let error = Cloud::default().scan(asking(&["eu-west-11"])).expect_err("no scan");
    assert_eq!(error.kind, Kind::Argument);
    assert!(error.hints[0].contains("eu-west-1"), "{error:?}");
    let scan = Cloud::default().scan(asking(&["me-south-1", "eu-west-1"])).expect("a scan");
    let all = "all".to_owned();
    assert_eq!(
        gaps(&scan),
        [
            (all.clone(), "me-south-1".to_owned(), Reason::NotEnabled),
            (all, "mx-central-1".to_owned(), Reason::NotAsked),
        ]
    );
    // An answer without regions cannot be right.
    let none = Cloud::default().with("DescribeRegions", || {
        Ok("<DescribeRegionsResponse><regionInfo/></DescribeRegionsResponse>")
    });
    assert!(none.scan(Asking::default()).is_err());
}

#[test]
fn an_answer_about_something_else_is_no_answer() {
    let only = |name: &'static str| Asking {
        sources: SOURCES.iter().filter(|source| source.name == name).collect(),
        regions: Some(vec!["eu-west-1".to_owned()]),
        ..Asking::default()
    };
    // Endpoint that ignores the requested cluster.
    let scan = Cloud::default()
        .with("ListClusters", || Ok(r#"{"Clusters":[{"Id":"j-1"}]}"#))
        .with("DescribeCluster", || {
            Ok(r#"{"Cluster":{"Id":"j-2","Status":{"State":"RUNNING"},"Ec2InstanceAttributes":{"IamInstanceProfile":"web"}}}"#)
        })
        .scan(only("emr.clusters"))
        .expect("a scan");
    let CheckOutcome::Gap(why) = &scan.checks()[0].outcome else { panic!("{:?}", scan.checks()) };
    assert!(why.message.contains("about something else"), "{why:?}");
    // Endpoint that answers with all versions of all templates: each is counted once, for its own
    // template.
    let scan = Cloud::default()
        .with("DescribeLaunchTemplates", || {
            Ok("<DescribeLaunchTemplatesResponse><launchTemplates><item><launchTemplateId>lt-1</launchTemplateId></item><item><launchTemplateId>lt-2</launchTemplateId></item></launchTemplates></DescribeLaunchTemplatesResponse>")
        })
        .with("DescribeLaunchTemplateVersions", || {
            Ok("<DescribeLaunchTemplateVersionsResponse><launchTemplateVersionSet>\
                <item><launchTemplateId>lt-1</launchTemplateId><versionNumber>1</versionNumber></item>\
                <item><launchTemplateId>lt-2</launchTemplateId><versionNumber>1</versionNumber></item>\
                </launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>")
        })
        .scan(only("ec2.launch_templates"))
        .expect("a scan");
    assert_eq!((&scan.checks()[0].outcome, scan.checks()[0].resources), (&CheckOutcome::Whole, 2));
}
