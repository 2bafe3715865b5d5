//! Where a service answers in a region. AWS's rule is one name for each service and region; what departs from it is written here.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::spec::Service;

/// How a service is called on the network and in configuration.
struct Names {
    /// The name before the region.
    host: &'static str,
    /// The same with validated cryptography (FIPS 140).
    fips: &'static str,
    /// The id in AWS's configuration files and in `AWS_ENDPOINT_URL_…`.
    id: &'static str,
}

const fn names(service: Service) -> Names {
    let (host, fips, id) = match service {
        Service::Iam => ("iam", "iam-fips", "IAM"),
        Service::Sts => ("sts", "sts-fips", "STS"),
        Service::Ec2 => ("ec2", "ec2-fips", "EC2"),
        Service::AutoScaling => ("autoscaling", "autoscaling-fips", "Auto Scaling"),
        Service::Batch => ("batch", "fips.batch", "Batch"),
        Service::Ecs => ("ecs", "ecs-fips", "ECS"),
        Service::ImageBuilder => ("imagebuilder", "imagebuilder-fips", "imagebuilder"),
        Service::Emr => ("elasticmapreduce", "elasticmapreduce-fips", "EMR"),
        Service::ElasticBeanstalk => {
            ("elasticbeanstalk", "elasticbeanstalk-fips", "Elastic Beanstalk")
        }
        Service::Eks => ("eks", "fips.eks", "EKS"),
        Service::Rds => ("rds", "rds-fips", "RDS"),
    };
    Names { host, fips, id }
}

/// The address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// AWS's own.
    Aws(String),
    /// One that the user's configuration names.
    Chosen(String),
}

impl Address {
    /// As a URL.
    pub fn url(&self) -> &str {
        match self {
            Self::Aws(url) | Self::Chosen(url) => url,
        }
    }
}

/// Where a service answers in a region: at the address that the user's configuration names for the service or for all of them, else at AWS's.
pub fn address(config: &SdkConfig, service: Service, region: &str) -> Address {
    let own = || {
        let key = ServiceConfigKey::builder()
            .service_id(names(service).id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        config.service_config()?.load_config(key)
    };
    // As in the SDK: what was given on the command line is stronger than what is known for one service.
    let is_given = config.get_origin("endpoint_url").is_client_config();
    let chosen = if is_given { None } else { own() };
    let chosen = chosen.or_else(|| config.endpoint_url().map(str::to_owned));
    chosen.map_or_else(
        || {
            let host = host(service, region, config.use_fips().unwrap_or_default());
            Address::Aws(format!("https://{host}"))
        },
        Address::Chosen,
    )
}

/// AWS's own name for a service in a region.
fn host(service: Service, region: &str, with_fips: bool) -> String {
    let names = names(service);
    // In GovCloud the usual names are those with FIPS, but for two.
    let is_usual =
        region.starts_with("us-gov-") && !matches!(service, Service::Ecs | Service::ImageBuilder);
    let name = if with_fips && !is_usual { names.fips } else { names.host };
    format!("{name}.{region}.{}", suffix(region))
}

/// The domain of a region's partition.
fn suffix(region: &str) -> &'static str {
    const SUFFIXES: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    let found = SUFFIXES.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// The regions in which a service that is not everywhere is known to be. In these a name that is not found is a failure of the network, in others the service
/// may not be there.
pub fn is_known_in(service: Service, region: &str) -> bool {
    // AWS's own list (`endpoints.json`, 2026-11) has Beanstalk in these; Image Builder is not in it, but in at least these.
    const BOTH: [&str; 31] = [
        "af-south-1",
        "ap-east-1",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ca-central-1",
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
        "us-gov-east-1",
        "us-gov-west-1",
        "cn-north-1",
    ];
    const BEANSTALK: [&str; 5] =
        ["ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "cn-northwest-1"];
    match service {
        Service::ElasticBeanstalk => BOTH.contains(&region) || BEANSTALK.contains(&region),
        Service::ImageBuilder => BOTH.contains(&region),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_aws() {
        // From `endpoints.json` of AWS's own tools.
        for (service, region, with_fips, expected) in [
            (Service::Ec2, "eu-central-1", false, "ec2.eu-central-1.amazonaws.com"),
            (Service::Emr, "us-east-1", false, "elasticmapreduce.us-east-1.amazonaws.com"),
            (Service::Batch, "us-east-1", true, "fips.batch.us-east-1.amazonaws.com"),
            (Service::Ec2, "us-gov-west-1", true, "ec2.us-gov-west-1.amazonaws.com"),
            (Service::Ecs, "us-gov-east-1", true, "ecs-fips.us-gov-east-1.amazonaws.com"),
            (Service::Eks, "cn-north-1", false, "eks.cn-north-1.amazonaws.com.cn"),
            (Service::Ec2, "us-isob-east-1", false, "ec2.us-isob-east-1.sc2s.sgov.gov"),
            (Service::Rds, "eusc-de-east-1", false, "rds.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(host(service, region, with_fips), expected);
        }
    }
}
