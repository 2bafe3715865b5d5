//! AWS Elastic Beanstalk: environments and their settings.

use super::super::ChangeError;
use super::super::actions::describe;
use super::super::call::Call;
use super::super::import::ImportObject;
use super::super::import_resources::id;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::resources::{self, KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::xml::Xml;
use super::listing::{Listing, Paging};
use super::{ServiceTable, moment, place, synthetic};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "elasticbeanstalk",
    protocol: Protocol::Query {
        version: "2010-12-01",
        namespace: "http://elasticbeanstalk.amazonaws.com/docs/2010-12-01/",
    },
    throttled: (400, "Throttling", "Rate exceeded"),
    invalid_token: (400, "InvalidParameterValue", "Invalid NextToken."),
    invalid_value: "InvalidParameterValue",
    failure: "InternalFailure",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "elasticbeanstalk.environment",
    states: &[
        "Ready",
        "Aborting",
        "Launching",
        "Updating",
        "LinkingFrom",
        "LinkingTo",
        "Terminating",
        "Terminated",
    ],
    state_key: Some("status"),
    new_id: Some(|synthetic| format!("e-{}", synthetic.capitals(10).to_lowercase())),
    fields: &["id", "name", "application", "profile"],
    describe: describe_entry,
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[
        describe(SERVICE, "DescribeEnvironments", describe_environments),
        describe(SERVICE, "DescribeConfigurationSettings", describe_configuration_settings),
    ],
    kinds: &[KIND],
};

const PAGING: Paging = Paging {
    limit: "MaxRecords",
    min: 1,
    max: 1000,
    default_limit: usize::MAX - 1,
    token: "NextToken",
};
const STACK: &str = "64bit Amazon Linux 2023 v4.3.1 running Python 3.11";

/// `DescribeEnvironments`. Without `MaxRecords` all are on one page. Terminated environments are
/// listed unless `IncludeDeleted` is false.
pub(in super::super) fn describe_environments(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let texts = |name| -> Vec<&str> {
        let members = call.form.list(name).unwrap_or_default();
        members.iter().filter_map(|member| member.field("")).collect()
    };
    let (ids, names) = (texts("EnvironmentIds"), texts("EnvironmentNames"));
    let application = call.optional_text("ApplicationName");
    let with_deleted = call.optional_text("IncludeDeleted") != Some("false");
    let within = format!("{ids:?} {names:?} {application:?} {with_deleted}");
    let listing = Listing::of(view, call, &PAGING, &within)?;
    let (found, token) = listing.page(view, place(call, KIND), |environment| {
        (ids.is_empty() || ids.contains(&environment.key.as_str()))
            && (names.is_empty() || names.contains(&environment.name()))
            && application.is_none_or(|name| environment.text("application") == Some(name))
            && (with_deleted || environment.state() != "Terminated")
    })?;
    xml.within("Environments", |xml| {
        found.iter().try_for_each(|environment| {
            xml.within("member", |xml| {
                write(xml, &view.account.id, environment);
                Ok::<(), CallFailure>(())
            })
        })
    })?;
    if let Some(token) = token {
        xml.text("NextToken", &token);
    }
    Ok(())
}

/// `DescribeConfigurationSettings` of an environment that is not terminated.
pub(in super::super) fn describe_configuration_settings(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let service = call.action.service;
    let (application, name) =
        (call.optional_text("ApplicationName"), call.optional_text("EnvironmentName"));
    let (Some(application), Some(name)) = (application, name) else {
        let message = "ApplicationName and EnvironmentName must be given.";
        return Err(Refusal::invalid_value(service, message).into());
    };
    let named = resources::named(view.connection, KIND, call.region, name)?;
    let environment = named.into_iter().find(|environment| {
        environment.text("application") == Some(application) && environment.state() != "Terminated"
    });
    let environment = environment.ok_or_else(|| {
        let message = format!("No Environment found for EnvironmentName = '{name}'.");
        Refusal::invalid_value(service, message)
    })?;
    let created = moment(environment.created);
    xml.within("ConfigurationSettings", |xml| {
        xml.within("member", |xml| {
            xml.text("SolutionStackName", STACK);
            xml.text("PlatformArn", &platform(call.region));
            xml.text("ApplicationName", application);
            xml.text("EnvironmentName", name);
            xml.text("DeploymentStatus", "deployed");
            xml.text("DateCreated", &created);
            xml.text("DateUpdated", &created);
            xml.within("OptionSettings", |xml| {
                options(environment.profile.as_deref()).into_iter().try_for_each(
                    |(namespace, option, value)| {
                        xml.within("member", |xml| {
                            xml.text("Namespace", namespace);
                            xml.text("OptionName", option);
                            if let Some(value) = value {
                                xml.text("Value", value);
                            }
                            Ok::<(), CallFailure>(())
                        })
                    },
                )
            })
        })
    })
}

/// A few of about two hundred options of an environment. AWS also lists those without a value.
fn options(profile: Option<&str>) -> Vec<(&'static str, &'static str, Option<&str>)> {
    vec![
        ("aws:autoscaling:asg", "MaxSize", Some("4")),
        ("aws:autoscaling:asg", "MinSize", Some("1")),
        ("aws:autoscaling:launchconfiguration", "EC2KeyName", None),
        ("aws:autoscaling:launchconfiguration", "IamInstanceProfile", profile),
        ("aws:autoscaling:launchconfiguration", "InstanceType", Some("t3.micro")),
        ("aws:autoscaling:launchconfiguration", "MonitoringInterval", Some("5 minute")),
        ("aws:elasticbeanstalk:environment", "EnvironmentType", Some("LoadBalanced")),
        (
            "aws:elasticbeanstalk:environment",
            "ServiceRole",
            Some("aws-elasticbeanstalk-service-role"),
        ),
        ("aws:elasticbeanstalk:environment", "LoadBalancerType", Some("application")),
    ]
}

fn platform(region: &str) -> String {
    format!(
        "arn:aws:elasticbeanstalk:{region}::platform/Python 3.11 running on 64bit Amazon Linux 2023/4.3.1"
    )
}

fn write(xml: &mut Xml, account: &str, environment: &Resource) {
    let Resource { region, key: id, created, .. } = environment;
    let (name, application) =
        (environment.name(), environment.text("application").unwrap_or_default());
    let synthetic = synthetic(KIND, environment, "address");
    let created = moment(*created);
    xml.text("EnvironmentName", name);
    xml.text("EnvironmentId", id);
    xml.text("ApplicationName", application);
    xml.text("SolutionStackName", STACK);
    xml.text("PlatformArn", &platform(region));
    xml.text(
        "EndpointURL",
        &format!(
            "awseb-{}-{}.{region}.elb.amazonaws.com",
            synthetic.capitals(8),
            synthetic.below(2_000_000_000)
        ),
    );
    xml.text(
        "CNAME",
        &format!("{name}.{}.{region}.elasticbeanstalk.com", synthetic.capitals(10).to_lowercase()),
    );
    xml.text("DateCreated", &created);
    xml.text("DateUpdated", &created);
    xml.text("Status", environment.state());
    xml.literal("<AbortableOperationInProgress>false</AbortableOperationInProgress>");
    let health = if environment.state() == "Ready" { "Green" } else { "Grey" };
    xml.text("Health", health);
    xml.literal("<Tier><Name>WebServer</Name><Type>Standard</Type><Version>1.0</Version></Tier><EnvironmentLinks/>");
    xml.text(
        "EnvironmentArn",
        &format!("arn:aws:elasticbeanstalk:{region}:{account}:environment/{application}/{name}"),
    );
}

/// Reads an environment from an account file.
fn describe_entry(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    let name = entry.required_text("name")?;
    let application = entry.short_text("application")?.unwrap_or_else(|| name.clone());
    resource.more.insert("application".to_owned(), application.into());
    resource.name = Some(name);
    resource.profile = entry.short_text("profile")?;
    Ok(Vec::new())
}
