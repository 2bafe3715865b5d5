use super::*;
use crate::usage::source;

/// Result of reading an answer to the last call of a source.
fn read(name: &str, body: &str) -> Result<RecordPage> {
    read_step(source(name).expect("a source").last(), SdkBody::from(body.to_owned()))
}

fn read_step(step: &SourceCall, body: SdkBody) -> Result<RecordPage> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(page(step.action.service.row().protocol, step, body))
}

fn texts(step: &SourceCall, record: &ExtractedRecord, means: Means) -> Vec<String> {
    record.of(step, means).map(str::to_owned).collect()
}

/// Based on the example of `DescribeInstances` in EC2's API reference.
const INSTANCES: &str = r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
  <reservationSet>
    <item>
      <reservationId>r-1234567890abcdef0</reservationId>
      <groupSet/>
      <instancesSet>
        <item>
          <instanceId>i-1</instanceId>
          <instanceState><code>16</code><name>running</name></instanceState>
          <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><status>attached</status></ebs></item></blockDeviceMapping>
          <iamInstanceProfile>
            <arn>arn:aws:iam::123456789012:instance-profile/a&amp;b</arn>
            <id>AIPAJZ</id>
          </iamInstanceProfile>
          <tagSet><item><key>iamInstanceProfile</key><value>x</value></item></tagSet>
        </item>
        <item><instanceId>i-2</instanceId><instanceState><code>80</code><name>stopped</name></instanceState></item>
      </instancesSet>
    </item>
    <item><instancesSet><item><instanceId>i-3</instanceId></item></instancesSet></item>
  </reservationSet>
  <nextToken>abc==</nextToken>
</DescribeInstancesResponse>"#;

#[test]
fn instances_are_found_in_all_reservations() {
    let step = source("ec2.instances").expect("a source").last();
    let page = read("ec2.instances", INSTANCES).expect("a page");
    assert_eq!(page.next.as_deref(), Some("abc=="));
    let ids: Vec<_> =
        page.records.iter().flat_map(|record| texts(step, record, Means::Id)).collect();
    assert_eq!(ids, ["i-1", "i-2", "i-3"]);
    assert_eq!(
        texts(step, &page.records[0], Means::Profile),
        ["arn:aws:iam::123456789012:instance-profile/a&b", "AIPAJZ"]
    );
    assert_eq!(texts(step, &page.records[1], Means::State), ["stopped"]);
    assert!(texts(step, &page.records[1], Means::Profile).is_empty());
}

#[test]
fn an_answer_that_breaks_off_anywhere_is_no_answer() {
    for end in 0..INSTANCES.len() {
        let part = &INSTANCES[..end];
        assert!(read("ec2.instances", part).is_err(), "{part}");
    }
    let json = r#"{"capacityProviders":[{"name":"a"}],"nextToken":"x"}"#;
    for end in 0..json.len() {
        assert!(read("ecs.capacity_providers", &json[..end]).is_err(), "{}", &json[..end]);
    }
}

#[test]
fn what_nothing_is_read_of_is_looked_over_all_the_same() {
    let of = |inner: &str| {
        let instance = format!("<instanceId>i-1</instanceId>{inner}");
        read(
            "ec2.instances",
            &format!(
                "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>{instance}</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
            ),
        )
    };
    let profile = "<iamInstanceProfile><arn>a</arn></iamInstanceProfile>";
    let step = source("ec2.instances").expect("a source").last();
    for before in ["<x/>", "<x>&amp;</x>", "<x><x/><instanceState/><y><x>1</x></y></x>"] {
        let page = of(&format!("{before}{profile}")).expect("a page");
        assert_eq!(texts(step, &page.records[0], Means::Profile), ["a"], "{before}");
    }
    // Profile that is not the instance's own.
    let page = of(&format!("<x>{profile}</x>")).expect("a page");
    assert!(texts(step, &page.records[0], Means::Profile).is_empty());
    for broken in ["<x><y></x></y>", "<x>", "</x>", "<x><y></x>"] {
        assert!(of(broken).is_err(), "{broken}");
    }
}

#[test]
fn an_answer_to_something_else_is_no_answer() {
    for body in [
        "<html><body>Please log in</body></html>",
        "<DescribeImagesResponse><reservationSet/></DescribeImagesResponse>",
        "<DescribeInstancesResponse><requestId>1</requestId></DescribeInstancesResponse>",
        "",
    ] {
        assert!(read("ec2.instances", body).is_err(), "{body}");
    }
    for body in
        ["{}", "[]", "null", "<html>", r#"{"clusters":[]}"#, r#"{"capacityProviders":[]} x"#]
    {
        assert!(read("ecs.capacity_providers", body).is_err(), "{body}");
    }
    let empty = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
    assert_eq!(read("ec2.instances", empty).expect("a page"), RecordPage::default());
    assert_eq!(
        read("ecs.capacity_providers", r#"{"capacityProviders":[]}"#).expect("a page"),
        RecordPage::default()
    );
}

#[test]
fn a_result_in_the_query_protocol_is_looked_into() {
    let body = r#"<DescribeLaunchConfigurationsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <DescribeLaunchConfigurationsResult>
    <NextToken></NextToken>
    <LaunchConfigurations>
      <member><IamInstanceProfile>my-iam-role</IamInstanceProfile><LaunchConfigurationName>my-lc</LaunchConfigurationName></member>
      <member><LaunchConfigurationName>other</LaunchConfigurationName></member>
    </LaunchConfigurations>
  </DescribeLaunchConfigurationsResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</DescribeLaunchConfigurationsResponse>"#;
    let step = source("autoscaling.launch_configurations").expect("a source").last();
    let page = read("autoscaling.launch_configurations", body).expect("a page");
    assert_eq!((page.records.len(), page.next), (2, None));
    assert_eq!(texts(step, &page.records[0], Means::Profile), ["my-iam-role"]);
}

#[test]
fn of_the_settings_of_an_environment_only_the_profile_counts() {
    let option = |namespace: &str, name: &str, value: &str| {
        format!(
            "<member><Namespace>{namespace}</Namespace><OptionName>{name}</OptionName><Value>{value}</Value></member>"
        )
    };
    let launch = "aws:autoscaling:launchconfiguration";
    let options = [
        option(launch, "IamInstanceProfile", "eb-ec2"),
        option(launch, "InstanceType", "t3.micro"),
        option("aws:elsewhere", "IamInstanceProfile", "no"),
    ];
    let body = format!(
        "<DescribeConfigurationSettingsResponse><DescribeConfigurationSettingsResult><ConfigurationSettings><member><OptionSettings>{}</OptionSettings></member></ConfigurationSettings></DescribeConfigurationSettingsResult></DescribeConfigurationSettingsResponse>",
        options.concat()
    );
    let step = source("elasticbeanstalk.environments").expect("a source").last();
    let page = read("elasticbeanstalk.environments", &body).expect("a page");
    assert_eq!(page.records.len(), 1);
    assert_eq!(texts(step, &page.records[0], Means::Profile), ["eb-ec2"]);
}

#[test]
fn lists_of_names_and_lone_records_are_read_from_json() {
    let eks = source("eks.node_groups").expect("a source");
    let body = r#"{"clusters":["prod","test"],"nextToken":null}"#;
    let page = read_step(&eks.steps[0], SdkBody::from(body)).expect("a page");
    let names: Vec<_> =
        page.records.iter().flat_map(|record| texts(&eks.steps[0], record, Means::Carry)).collect();
    assert_eq!((names, page.next), (vec!["prod".to_owned(), "test".to_owned()], None));

    let body = r#"{"nodegroup":{"nodegroupName":"n","status":"ACTIVE","scalingConfig":{"minSize":1},"nodeRole":"arn:aws:iam::123456789012:role/eks","labels":{"nodeRole":"no"},"health":{"issues":[]}}}"#;
    let page = read("eks.node_groups", body).expect("a page");
    assert_eq!(page.records.len(), 1);
    assert_eq!(
        texts(eks.last(), &page.records[0], Means::Role),
        ["arn:aws:iam::123456789012:role/eks"]
    );
}

#[test]
fn a_fleet_names_a_profile_for_each_launch_specification() {
    let specification =
        |text: &str| format!("<item><iamInstanceProfile>{text}</iamInstanceProfile></item>");
    let body = format!(
        "<DescribeSpotFleetRequestsResponse><spotFleetRequestConfigSet><item><spotFleetRequestId>sfr-1</spotFleetRequestId><spotFleetRequestState>active</spotFleetRequestState><spotFleetRequestConfig><launchSpecifications>{}{}</launchSpecifications></spotFleetRequestConfig></item></spotFleetRequestConfigSet></DescribeSpotFleetRequestsResponse>",
        specification("<name>a</name>"),
        specification("<arn>arn:aws:iam::123456789012:instance-profile/b</arn>"),
    );
    let step = source("ec2.spot_fleets").expect("a source").last();
    let page = read("ec2.spot_fleets", &body).expect("a page");
    assert_eq!(
        texts(step, &page.records[0], Means::Profile),
        ["arn:aws:iam::123456789012:instance-profile/b", "a"]
    );
}

/// Compute environments of AWS Batch name the profile in one place or, with Amazon ECS managed
/// instances, in another.
#[test]
fn both_kinds_of_batch_environments_name_their_profile() {
    let arn = "arn:aws:iam::123456789012:instance-profile/managed";
    let body = serde_json::json!({"computeEnvironments": [
        {"computeEnvironmentName": "a", "computeResources": {"instanceRole": "plain"}},
        {"computeEnvironmentName": "b", "computeResources": {"managedInstancesProvider": {
            "infrastructureRoleArn": "arn:aws:iam::123456789012:role/infrastructure",
            "instanceLaunchTemplate": {"ec2InstanceProfileArn": arn},
        }}},
    ]});
    let step = source("batch.compute_environments").expect("a source").last();
    let page = read("batch.compute_environments", &body.to_string()).expect("a page");
    assert_eq!(texts(step, &page.records[0], Means::Profile), ["plain"]);
    assert_eq!(texts(step, &page.records[1], Means::Profile), [arn]);
}

/// A resource requested by name is in the answer, or AWS reports that it does not exist. An answer
/// without it proves nothing.
#[test]
fn an_answer_without_the_one_that_was_asked_for_is_no_answer() {
    for (name, bodies) in [
        ("emr.clusters", [r#"{"Cluster":null}"#, r#"{"Cluster":{}}"#, r#"{"Cluster":[]}"#]),
        (
            "eks.node_groups",
            [r#"{"nodegroup":null}"#, r#"{"nodegroup":{}}"#, r#"{"nodegroup":[]}"#],
        ),
    ] {
        for body in bodies {
            assert!(read(name, body).is_err(), "{body}");
        }
    }
    let body = "<DescribeConfigurationSettingsResponse><DescribeConfigurationSettingsResult><ConfigurationSettings/></DescribeConfigurationSettingsResult></DescribeConfigurationSettingsResponse>";
    assert!(read("elasticbeanstalk.environments", body).is_err());
}

/// A list that is `null` counts as missing.
#[test]
fn nothing_where_the_list_belongs_is_no_answer() {
    assert!(read("ecs.capacity_providers", r#"{"capacityProviders":null}"#).is_err());
    assert!(read("batch.compute_environments", r#"{"computeEnvironments":null}"#).is_err());
}
