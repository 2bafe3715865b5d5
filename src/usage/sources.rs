//! Table of sources: every call whose answer can reference an instance profile, as data. Names and
//! paths are those of AWS's service models. `Action::reference` is the page of each action in AWS's
//! API reference.

use super::source::{Given, Means, Paging, Route, Source, SourceCall, SourceField};
use crate::spec::{Action, Protocol, Service, ServiceRow};

const fn field(path: &'static str, means: Means) -> SourceField {
    SourceField { path, means }
}

const fn id(path: &'static str) -> SourceField {
    field(path, Means::Id)
}

const fn carry(path: &'static str) -> SourceField {
    field(path, Means::Carry)
}

const fn echo(path: &'static str, number: usize) -> SourceField {
    field(path, Means::Echo(number))
}

const fn state(path: &'static str) -> SourceField {
    field(path, Means::State)
}

const fn profile(path: &'static str) -> SourceField {
    field(path, Means::Profile)
}

/// Paging of almost all EC2 calls.
const fn ec2_pages(size: u32) -> Paging {
    Paging { ask: "NextToken", answer: "nextToken", size: Some(("MaxResults", size)) }
}

/// Call with defaults; entries override them with `..`.
const fn call(service: Service, name: &'static str) -> SourceCall {
    SourceCall {
        action: Action::of(service, name),
        route: Route::Root,
        parameters: &[],
        paging: None,
        records: "",
        fields: &[],
        only: &[],
        over: &[],
        gone: &[],
    }
}

/// AWS services can hide the resources that they manage; those use profiles all the same.
const WITH_MANAGED: (&str, Given) = ("IncludeManagedResources", Given::Bool(true));

/// Call that lists the regions and their opt-in status.
pub static REGIONS: SourceCall = SourceCall {
    parameters: &[("AllRegions", Given::Bool(true))],
    records: "regionInfo",
    fields: &[id("regionName"), state("optInStatus")],
    ..call(REGIONS_ACTION.service, REGIONS_ACTION.name)
};

const REGIONS_ACTION: Action = Action::of(Service::EC2, "DescribeRegions");

// Services of the sources.
impl Service {
    /// Amazon EC2.
    pub const EC2: Self = Self::of(&ServiceRow {
        prefix: "ec2",
        reference: "AWSEC2/latest/APIReference",
        protocol: Protocol::Ec2 { version: "2016-11-15" },
        host: "ec2",
        fips: "ec2-fips",
        has_fips_in_govcloud: true,
        id: "EC2",
        is_global: false,
        known_in: &[],
    });

    /// Amazon EC2 Auto Scaling.
    pub const AUTO_SCALING: Self = Self::of(&ServiceRow {
        prefix: "autoscaling",
        reference: "autoscaling/ec2/APIReference",
        protocol: Protocol::Query { version: "2011-01-01" },
        host: "autoscaling",
        fips: "autoscaling-fips",
        has_fips_in_govcloud: true,
        id: "Auto Scaling",
        is_global: false,
        known_in: &[],
    });

    /// AWS Batch.
    pub const BATCH: Self = Self::of(&ServiceRow {
        prefix: "batch",
        reference: "batch/latest/APIReference",
        protocol: Protocol::Rest,
        host: "batch",
        fips: "fips.batch",
        has_fips_in_govcloud: true,
        id: "Batch",
        is_global: false,
        known_in: &[],
    });

    /// Amazon Elastic Container Service.
    pub const ECS: Self = Self::of(&ServiceRow {
        prefix: "ecs",
        reference: "AmazonECS/latest/APIReference",
        protocol: Protocol::Json { target: "AmazonEC2ContainerServiceV20141113" },
        host: "ecs",
        fips: "ecs-fips",
        has_fips_in_govcloud: false,
        id: "ECS",
        is_global: false,
        known_in: &[],
    });

    /// EC2 Image Builder.
    pub const IMAGE_BUILDER: Self = Self::of(&ServiceRow {
        prefix: "imagebuilder",
        reference: "imagebuilder/latest/APIReference",
        protocol: Protocol::Rest,
        host: "imagebuilder",
        fips: "imagebuilder-fips",
        has_fips_in_govcloud: true,
        id: "imagebuilder",
        is_global: false,
        known_in: &[&MOST_REGIONS],
    });

    /// Amazon EMR.
    pub const EMR: Self = Self::of(&ServiceRow {
        prefix: "elasticmapreduce",
        reference: "emr/latest/APIReference",
        protocol: Protocol::Json { target: "ElasticMapReduce" },
        host: "elasticmapreduce",
        fips: "elasticmapreduce-fips",
        has_fips_in_govcloud: true,
        id: "EMR",
        is_global: false,
        known_in: &[],
    });

    /// AWS Elastic Beanstalk.
    pub const ELASTIC_BEANSTALK: Self = Self::of(&ServiceRow {
        prefix: "elasticbeanstalk",
        reference: "elasticbeanstalk/latest/api",
        protocol: Protocol::Query { version: "2010-12-01" },
        host: "elasticbeanstalk",
        fips: "elasticbeanstalk-fips",
        has_fips_in_govcloud: true,
        id: "Elastic Beanstalk",
        is_global: false,
        known_in: &[&MOST_REGIONS, &BEANSTALK_REGIONS],
    });

    /// Amazon Elastic Kubernetes Service.
    pub const EKS: Self = Self::of(&ServiceRow {
        prefix: "eks",
        reference: "eks/latest/APIReference",
        protocol: Protocol::Rest,
        host: "eks",
        fips: "fips.eks",
        has_fips_in_govcloud: true,
        id: "EKS",
        is_global: false,
        known_in: &[],
    });

    /// Amazon RDS.
    pub const RDS: Self = Self::of(&ServiceRow {
        prefix: "rds",
        reference: "AmazonRDS/latest/APIReference",
        protocol: Protocol::Query { version: "2014-10-31" },
        host: "rds",
        fips: "rds-fips",
        has_fips_in_govcloud: true,
        id: "RDS",
        is_global: false,
        known_in: &[],
    });
}

/// Regions of the services that do not exist everywhere. AWS's own list (`endpoints.json`, 2026-11)
/// has Beanstalk in these. It does not list Image Builder, which is in at least these.
const MOST_REGIONS: [&str; 31] = [
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

/// Further regions of Beanstalk.
const BEANSTALK_REGIONS: [&str; 5] =
    ["ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "cn-northwest-1"];

/// Regions that this program knows by name. AWS may have more.
pub fn known_regions() -> impl Iterator<Item = &'static str> {
    MOST_REGIONS.into_iter().chain(BEANSTALK_REGIONS)
}

const TABLE: &[Source] = &[
    Source {
        name: "ec2.instances",
        kind: "instance",
        doc: "The instance has the profile's credentials, or gets them when it starts again.",
        steps: &[SourceCall {
            parameters: &[WITH_MANAGED],
            paging: Some(ec2_pages(1000)),
            records: "reservationSet.instancesSet",
            fields: &[
                id("instanceId"),
                state("instanceState.name"),
                profile("iamInstanceProfile.arn"),
                profile("iamInstanceProfile.id"),
            ],
            over: &["terminated"],
            ..call(Service::EC2, "DescribeInstances")
        }],
    },
    Source {
        name: "ec2.associations",
        kind: "association",
        doc: "The profile is, or is being, attached to an instance; this also shows what an instance is about to get.",
        steps: &[SourceCall {
            paging: Some(ec2_pages(1000)),
            records: "iamInstanceProfileAssociationSet",
            fields: &[
                id("associationId"),
                id("instanceId"),
                state("state"),
                profile("iamInstanceProfile.arn"),
                profile("iamInstanceProfile.id"),
            ],
            over: &["disassociated"],
            ..call(Service::EC2, "DescribeIamInstanceProfileAssociations")
        }],
    },
    Source {
        name: "ec2.launch_templates",
        kind: "launch template version",
        doc: "Instances that start from this version get the profile: an Auto Scaling group, a fleet or a person may use any version.",
        steps: &[
            SourceCall {
                parameters: &[WITH_MANAGED],
                paging: Some(ec2_pages(200)),
                records: "launchTemplates",
                fields: &[carry("launchTemplateId")],
                ..call(Service::EC2, "DescribeLaunchTemplates")
            },
            SourceCall {
                parameters: &[("LaunchTemplateId", Given::Carried(0)), WITH_MANAGED],
                paging: Some(ec2_pages(200)),
                records: "launchTemplateVersionSet",
                fields: &[
                    id("launchTemplateId"),
                    echo("launchTemplateId", 0),
                    id("versionNumber"),
                    profile("launchTemplateData.iamInstanceProfile.arn"),
                    profile("launchTemplateData.iamInstanceProfile.name"),
                ],
                gone: &["InvalidLaunchTemplateId.NotFound"],
                ..call(Service::EC2, "DescribeLaunchTemplateVersions")
            },
        ],
    },
    Source {
        name: "ec2.spot_fleets",
        kind: "Spot fleet",
        doc: "The fleet starts instances with the profile as it replaces those that were taken away.",
        steps: &[SourceCall {
            paging: Some(ec2_pages(1000)),
            records: "spotFleetRequestConfigSet",
            fields: &[
                id("spotFleetRequestId"),
                state("spotFleetRequestState"),
                profile("spotFleetRequestConfig.launchSpecifications.iamInstanceProfile.arn"),
                profile("spotFleetRequestConfig.launchSpecifications.iamInstanceProfile.name"),
            ],
            over: &["cancelled", "failed"],
            ..call(Service::EC2, "DescribeSpotFleetRequests")
        }],
    },
    Source {
        name: "ec2.spot_requests",
        kind: "Spot request",
        doc: "The request starts an instance with the profile once there is room, a persistent one again and again.",
        steps: &[SourceCall {
            paging: Some(ec2_pages(1000)),
            records: "spotInstanceRequestSet",
            fields: &[
                id("spotInstanceRequestId"),
                state("state"),
                profile("launchSpecification.iamInstanceProfile.arn"),
                profile("launchSpecification.iamInstanceProfile.name"),
            ],
            over: &["closed", "cancelled", "failed"],
            ..call(Service::EC2, "DescribeSpotInstanceRequests")
        }],
    },
    Source {
        name: "autoscaling.launch_configurations",
        kind: "launch configuration",
        doc: "Auto Scaling groups that use the configuration start instances with the profile.",
        steps: &[SourceCall {
            paging: Some(Paging {
                ask: "NextToken",
                answer: "NextToken",
                size: Some(("MaxRecords", 100)),
            }),
            records: "LaunchConfigurations",
            fields: &[id("LaunchConfigurationName"), profile("IamInstanceProfile")],
            ..call(Service::AUTO_SCALING, "DescribeLaunchConfigurations")
        }],
    },
    Source {
        name: "batch.compute_environments",
        kind: "compute environment",
        doc: "AWS Batch starts the environment's instances with the profile when there are jobs; there need be none now.",
        steps: &[SourceCall {
            route: Route::Post("/v1/describecomputeenvironments"),
            paging: Some(Paging { ask: "nextToken", answer: "nextToken", size: None }),
            records: "computeEnvironments",
            fields: &[
                id("computeEnvironmentName"),
                state("status"),
                profile("computeResources.instanceRole"),
                profile(
                    "computeResources.managedInstancesProvider.instanceLaunchTemplate.ec2InstanceProfileArn",
                ),
            ],
            over: &["DELETED"],
            ..call(Service::BATCH, "DescribeComputeEnvironments")
        }],
    },
    Source {
        name: "ecs.capacity_providers",
        kind: "capacity provider",
        doc: "Amazon ECS starts managed instances with the profile when there are tasks; there need be none now.",
        steps: &[
            SourceCall {
                paging: Some(Paging {
                    ask: "nextToken",
                    answer: "nextToken",
                    size: Some(("maxResults", 100)),
                }),
                records: "clusterArns",
                fields: &[carry("")],
                ..call(Service::ECS, "ListClusters")
            },
            SourceCall {
                // AWS returns the providers of managed instances only if a cluster is given.
                parameters: &[("cluster", Given::Carried(0))],
                paging: Some(Paging {
                    ask: "nextToken",
                    answer: "nextToken",
                    size: Some(("maxResults", 10)),
                }),
                records: "capacityProviders",
                fields: &[
                    id("name"),
                    state("status"),
                    profile(
                        "managedInstancesProvider.instanceLaunchTemplate.ec2InstanceProfileArn",
                    ),
                ],
                gone: &["ClusterNotFoundException"],
                ..call(Service::ECS, "DescribeCapacityProviders")
            },
        ],
    },
    Source {
        name: "imagebuilder.infrastructure_configurations",
        kind: "infrastructure configuration",
        doc: "EC2 Image Builder starts build and test instances with the profile whenever a pipeline runs.",
        steps: &[SourceCall {
            route: Route::Post("/ListInfrastructureConfigurations"),
            paging: Some(Paging {
                ask: "nextToken",
                answer: "nextToken",
                size: Some(("maxResults", 25)),
            }),
            records: "infrastructureConfigurationSummaryList",
            fields: &[id("name"), profile("instanceProfileName")],
            ..call(Service::IMAGE_BUILDER, "ListInfrastructureConfigurations")
        }],
    },
    Source {
        name: "emr.clusters",
        kind: "EMR cluster",
        doc: "Instances that the cluster adds, by instance group or fleet, get the profile.",
        steps: &[
            SourceCall {
                parameters: &[(
                    "ClusterStates",
                    Given::Texts(&[
                        "STARTING",
                        "BOOTSTRAPPING",
                        "RUNNING",
                        "WAITING",
                        "TERMINATING",
                    ]),
                )],
                paging: Some(Paging { ask: "Marker", answer: "Marker", size: None }),
                records: "Clusters",
                fields: &[carry("Id")],
                ..call(Service::EMR, "ListClusters")
            },
            SourceCall {
                parameters: &[("ClusterId", Given::Carried(0))],
                records: "Cluster",
                fields: &[
                    id("Id"),
                    echo("Id", 0),
                    state("Status.State"),
                    profile("Ec2InstanceAttributes.IamInstanceProfile"),
                ],
                over: &["TERMINATED", "TERMINATED_WITH_ERRORS"],
                ..call(Service::EMR, "DescribeCluster")
            },
        ],
    },
    Source {
        name: "elasticbeanstalk.environments",
        kind: "environment",
        doc: "Elastic Beanstalk starts the environment's instances with the profile.",
        steps: &[
            SourceCall {
                parameters: &[("IncludeDeleted", Given::Bool(false))],
                paging: Some(Paging {
                    ask: "NextToken",
                    answer: "NextToken",
                    size: Some(("MaxRecords", 1000)),
                }),
                records: "Environments",
                fields: &[
                    id("EnvironmentName"),
                    state("Status"),
                    carry("ApplicationName"),
                    carry("EnvironmentName"),
                ],
                over: &["Terminated"],
                ..call(Service::ELASTIC_BEANSTALK, "DescribeEnvironments")
            },
            SourceCall {
                parameters: &[
                    ("ApplicationName", Given::Carried(0)),
                    ("EnvironmentName", Given::Carried(1)),
                ],
                records: "ConfigurationSettings.OptionSettings",
                fields: &[profile("Value")],
                only: &[
                    ("Namespace", "aws:autoscaling:launchconfiguration"),
                    ("OptionName", "IamInstanceProfile"),
                ],
                ..call(Service::ELASTIC_BEANSTALK, "DescribeConfigurationSettings")
            },
        ],
    },
    Source {
        name: "eks.node_groups",
        kind: "node group",
        doc: "Amazon EKS makes a profile for the node group's role; every profile that holds the role is taken for it.",
        steps: &[
            SourceCall {
                route: Route::Get("/clusters"),
                paging: Some(Paging {
                    ask: "nextToken",
                    answer: "nextToken",
                    size: Some(("maxResults", 100)),
                }),
                records: "clusters",
                fields: &[id(""), carry("")],
                ..call(Service::EKS, "ListClusters")
            },
            SourceCall {
                route: Route::Get("/clusters/{0}/node-groups"),
                paging: Some(Paging {
                    ask: "nextToken",
                    answer: "nextToken",
                    size: Some(("maxResults", 100)),
                }),
                records: "nodegroups",
                fields: &[id(""), carry("")],
                gone: &["ResourceNotFoundException"],
                ..call(Service::EKS, "ListNodegroups")
            },
            SourceCall {
                route: Route::Get("/clusters/{0}/node-groups/{1}"),
                records: "nodegroup",
                fields: &[
                    echo("clusterName", 0),
                    echo("nodegroupName", 1),
                    state("status"),
                    field("nodeRole", Means::Role),
                ],
                gone: &["ResourceNotFoundException"],
                ..call(Service::EKS, "DescribeNodegroup")
            },
        ],
    },
    Source {
        name: "rds.custom_instances",
        kind: "RDS Custom instance",
        doc: "Amazon RDS Custom starts the database's instance with the profile, also when it replaces it.",
        steps: &[SourceCall {
            paging: Some(Paging {
                ask: "Marker",
                answer: "Marker",
                size: Some(("MaxRecords", 100)),
            }),
            records: "DBInstances",
            fields: &[
                id("DBInstanceIdentifier"),
                state("DBInstanceStatus"),
                profile("CustomIamInstanceProfile"),
            ],
            ..call(Service::RDS, "DescribeDBInstances")
        }],
    },
];

/// All sources, in the order of the documentation.
pub static SOURCES: &[Source] = TABLE;

/// Source with a name.
#[must_use]
pub fn source(name: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.name == name)
}

const COUNT: usize = {
    let (mut count, mut at) = (1, 0);
    while at < TABLE.len() {
        count += TABLE[at].steps.len();
        at += 1;
    }
    count
};

/// All actions that a scan calls, ordered by first use.
pub const ACTIONS: [Action; COUNT] = {
    let mut all = [REGIONS_ACTION; COUNT];
    let (mut count, mut at) = (1, 0);
    while at < TABLE.len() {
        let mut step = 0;
        while step < TABLE[at].steps.len() {
            all[count] = TABLE[at].steps[step].action;
            count += 1;
            step += 1;
        }
        at += 1;
    }
    all
};

/// All services that calls are sent to, IAM and STS first. Some are repeated.
pub fn services() -> impl Iterator<Item = Service> {
    [Service::IAM, Service::STS].into_iter().chain(ACTIONS.into_iter().map(|action| action.service))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_entry_is_whole() {
        let mut names = BTreeSet::new();
        for source in SOURCES {
            assert!(names.insert(source.name), "{} is there twice", source.name);
            assert!(source.doc.ends_with('.'), "{}", source.name);
            let last = source.last();
            let names_one =
                |field: &SourceField| matches!(field.means, Means::Profile | Means::Role);
            assert!(last.fields.iter().any(names_one), "{} names no profile", source.name);
            let ids = source.steps.iter().flat_map(|step| step.fields);
            assert!(ids.clone().any(|field| field.means == Means::Id), "{}", source.name);
            let mut carried = 0;
            for step in source.steps {
                assert!(!step.records.is_empty(), "{}", source.name);
                for field in step.fields {
                    if let Means::Echo(number) = field.means {
                        assert!(number < carried, "{}: {}", source.name, field.path);
                    }
                }
                for (name, given) in step.parameters {
                    if let Given::Carried(number) = given {
                        assert!(*number < carried, "{}: {name}", source.name);
                    }
                }
                if let Route::Get(path) = step.route {
                    for (number, _) in path.match_indices('{').enumerate() {
                        assert!(path.contains(&format!("{{{number}}}")) && number < carried);
                    }
                }
                let is_over = step.fields.iter().any(|field| field.means == Means::State);
                assert!(step.over.is_empty() || is_over, "{}", source.name);
                carried += step.fields.iter().filter(|f| f.means == Means::Carry).count();
            }
        }
    }

    #[test]
    fn every_action_only_looks() {
        for action in &ACTIONS {
            let looks =
                ["Describe", "List", "Get"].iter().any(|verb| action.name.starts_with(verb));
            assert!(looks, "{}", action.name);
        }
    }
}
