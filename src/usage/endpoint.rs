//! Endpoints of services in a region. AWS's rule is one host name per service and region;
//! exceptions are listed here.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::sources::services;
use crate::spec::{Service, ServiceRow};

/// Endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// AWS's own endpoint.
    Aws(String),
    /// Endpoint configured by the user.
    Chosen(String),
}

impl Address {
    /// Endpoint URL.
    pub fn url(&self) -> &str {
        match self {
            Self::Aws(url) | Self::Chosen(url) => url,
        }
    }
}

/// Endpoint of a service in a region: the one that the user configured for the service or for all
/// of them, otherwise AWS's own.
pub fn address(config: &SdkConfig, service: Service, region: &str) -> Address {
    let own = || {
        let key = ServiceConfigKey::builder()
            .service_id(service.row().id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        config.service_config()?.load_config(key)
    };
    // As in the SDK, an endpoint on the command line takes precedence over one for a single
    // service.
    let is_given = config.get_origin("endpoint_url").is_client_config();
    let chosen = if is_given { None } else { own() };
    let chosen = chosen.or_else(|| config.endpoint_url().map(str::to_owned));
    chosen.map_or_else(
        || {
            let host = host(
                service,
                region,
                config.use_fips().unwrap_or_default(),
                config.use_dual_stack().unwrap_or_default(),
            );
            Address::Aws(format!("https://{host}"))
        },
        Address::Chosen,
    )
}

/// AWS's own host name for a service in a region.
fn host(service: Service, region: &str, with_fips: bool, is_dual_stack: bool) -> String {
    let ServiceRow { host, fips, has_fips_in_govcloud, .. } = *service.row();
    let partition = partition(region);
    if is_dual_stack {
        let end = if with_fips { "-fips" } else { "" };
        return format!("{host}{end}.{region}.{}", partition.dual_stack);
    }
    let name = match (with_fips, partition.beginning) {
        (false, _) => host.to_owned(),
        // In GovCloud the ordinary names support FIPS, with one exception.
        (true, "us-gov-") if has_fips_in_govcloud => host.to_owned(),
        (true, "") => fips.to_owned(),
        (true, _) => format!("{host}-fips"),
    };
    format!("{name}.{region}.{}", partition.suffix)
}

/// Check for a host name that AWS gives to one of these services, and that customers cannot choose.
#[must_use]
pub fn is_aws(host: &str) -> bool {
    let is_regional = |region: &str| {
        let parts: Vec<_> = region.split('-').collect();
        let (words, number) = parts.split_at(parts.len() - 1);
        words.len() >= 2
            && words.iter().all(|word| word.bytes().all(|c| c.is_ascii_lowercase()))
            && !words.iter().any(|word| word.is_empty())
            && words[0].len() <= 4
            && number.iter().all(|digits| digits.parse::<u8>().is_ok())
    };
    let domains = PARTITIONS.iter().flat_map(|partition| [partition.suffix, partition.dual_stack]);
    let mut begins = domains.filter_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'));
    begins.any(|begin| {
        services().any(|service| {
            let ServiceRow { host, fips, is_global, .. } = *service.row();
            let plain = format!("{host}-fips");
            [host, fips, plain.as_str()].into_iter().any(|name| {
                let region = begin.strip_prefix(name);
                region.is_some_and(|region| match region.strip_prefix('.') {
                    Some(region) => ["us-gov", "global"].contains(&region) || is_regional(region),
                    None => region.is_empty() && is_global,
                })
            })
        })
    })
}

/// Ids of all services in AWS's configuration files.
pub fn service_ids() -> impl Iterator<Item = &'static str> {
    let all: BTreeSet<_> = services().map(|service| service.row().id).collect();
    all.into_iter()
}

/// Partition of AWS: prefix of its regions, and domains of its services.
struct Partition {
    beginning: &'static str,
    suffix: &'static str,
    dual_stack: &'static str,
}

const fn partition_of(
    beginning: &'static str,
    suffix: &'static str,
    dual_stack: &'static str,
) -> Partition {
    Partition { beginning, suffix, dual_stack }
}

/// From AWS's `partitions.json`; the last one is that of all other regions.
static PARTITIONS: [Partition; 8] = [
    partition_of("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    partition_of("us-gov-", "amazonaws.com", "api.aws"),
    partition_of("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    partition_of("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    partition_of("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    partition_of("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    partition_of("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    partition_of("", "amazonaws.com", "api.aws"),
];

fn partition(region: &str) -> &'static Partition {
    let found = PARTITIONS.iter().find(|partition| region.starts_with(partition.beginning));
    found.unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
}

/// Regions in which a service that is not available everywhere is known to exist. A host name that
/// is not found is a network failure in these; in other regions the service may not exist.
pub fn is_known_in(service: Service, region: &str) -> bool {
    let known = service.row().known_in;
    known.is_empty() || known.iter().any(|regions| regions.contains(&region))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are those of botocore's `services` sections, such as `auto_scaling`.
    #[test]
    fn a_services_section_names_the_endpoint_of_every_service() {
        const IDS: [(&str, Service); 11] = [
            ("iam", Service::IAM),
            ("sts", Service::STS),
            ("ec2", Service::EC2),
            ("auto_scaling", Service::AUTO_SCALING),
            ("batch", Service::BATCH),
            ("ecs", Service::ECS),
            ("imagebuilder", Service::IMAGE_BUILDER),
            ("emr", Service::EMR),
            ("elastic_beanstalk", Service::ELASTIC_BEANSTALK),
            ("eks", Service::EKS),
            ("rds", Service::RDS),
        ];
        let mut text = "[profile emulated]\nregion = us-east-1\nservices = all\n\
                        aws_access_key_id = AKIA\naws_secret_access_key = x\n[services all]\n"
            .to_owned();
        for (id, _) in IDS {
            let line = format!("{id} =\n  endpoint_url = http://127.0.0.1:7301/{id}\n");
            text.push_str(&line);
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let path = file.path().display().to_string();
        let environment = crate::aws::Environment::from_fn(move |name| match name {
            "AWS_CONFIG_FILE" => Some(path.clone()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some("/dev/null".into()),
            _ => None,
        });
        let request =
            crate::aws::ExplicitSettings { profile: Some("emulated".into()), ..Default::default() };
        let settings = crate::aws::Settings::resolve(&request, environment).expect("settings");
        let endpoints = crate::aws::ServiceEndpoints(std::sync::Arc::new(settings));
        let config = SdkConfig::builder().service_config(endpoints).build();
        for (id, service) in IDS {
            let expected = Address::Chosen(format!("http://127.0.0.1:7301/{id}"));
            assert_eq!(address(&config, service, "us-east-1"), expected, "{id}");
        }
    }

    /// `hosts.tsv` has the names that botocore resolves; `tests/clients/usage_hosts.py` writes it.
    #[test]
    fn names_are_those_of_botocore() {
        const SERVICES: [(&str, Service); 9] = [
            ("ec2", Service::EC2),
            ("autoscaling", Service::AUTO_SCALING),
            ("batch", Service::BATCH),
            ("ecs", Service::ECS),
            ("imagebuilder", Service::IMAGE_BUILDER),
            ("emr", Service::EMR),
            ("elasticbeanstalk", Service::ELASTIC_BEANSTALK),
            ("eks", Service::EKS),
            ("rds", Service::RDS),
        ];
        let mut services = std::collections::BTreeSet::new();
        for line in include_str!("hosts.tsv").lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let [name, region, hosts @ ..] = &cells[..] else { panic!("{line}") };
            let (_, service) = SERVICES.into_iter().find(|known| known.0 == *name).expect(line);
            services.insert(service);
            let variants = [(false, false), (true, false), (false, true), (true, true)];
            let ours = variants.map(|(fips, dual_stack)| host(service, region, fips, dual_stack));
            assert_eq!(ours.as_slice(), hosts, "{name} {region}");
        }
        assert_eq!(services.len(), SERVICES.len());
    }
}
