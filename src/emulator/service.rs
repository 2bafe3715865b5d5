//! Supported services and their protocols. Besides IAM and STS they are the services whose
//! resources may reference an instance profile; those are read-only.

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Iam,
    Sts,
    Ec2,
    AutoScaling,
    Batch,
    Ecs,
    ImageBuilder,
    Emr,
    ElasticBeanstalk,
    Eks,
    Rds,
}

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Query protocol: form in, XML out.
    Query { version: &'static str, namespace: &'static str },
    /// EC2's variant of the Query protocol: lists are numbered without `member`, results are not
    /// wrapped, errors have another format.
    Ec2 { version: &'static str, namespace: &'static str },
    /// JSON 1.1. Every request is a POST to `/`. The header `X-Amz-Target` names the action, after
    /// this prefix.
    Json { target: &'static str },
    /// REST with JSON bodies.
    RestJson,
}

impl Service {
    pub(super) const ALL: [Self; 11] = [
        Self::Iam,
        Self::Sts,
        Self::Ec2,
        Self::AutoScaling,
        Self::Batch,
        Self::Ecs,
        Self::ImageBuilder,
        Self::Emr,
        Self::ElasticBeanstalk,
        Self::Eks,
        Self::Rds,
    ];

    /// Name in a request's credential scope, which is also the permission prefix.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::Ec2 => "ec2",
            Self::AutoScaling => "autoscaling",
            Self::Batch => "batch",
            Self::Ecs => "ecs",
            Self::ImageBuilder => "imagebuilder",
            Self::Emr => "elasticmapreduce",
            Self::ElasticBeanstalk => "elasticbeanstalk",
            Self::Eks => "eks",
            Self::Rds => "rds",
        }
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::Iam => Protocol::Query {
                version: "2010-05-08",
                namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
            },
            Self::Sts => Protocol::Query {
                version: "2011-06-15",
                namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
            },
            Self::Ec2 => Protocol::Ec2 {
                version: "2016-11-15",
                namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
            },
            Self::AutoScaling => Protocol::Query {
                version: "2011-01-01",
                namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
            },
            Self::ElasticBeanstalk => Protocol::Query {
                version: "2010-12-01",
                namespace: "http://elasticbeanstalk.amazonaws.com/docs/2010-12-01/",
            },
            Self::Rds => Protocol::Query {
                version: "2014-10-31",
                namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
            },
            Self::Ecs => Protocol::Json { target: "AmazonEC2ContainerServiceV20141113" },
            Self::Emr => Protocol::Json { target: "ElasticMapReduce" },
            Self::Batch | Self::ImageBuilder | Self::Eks => Protocol::RestJson,
        }
    }

    /// API version of the service, if its requests have one.
    pub(super) const fn version(self) -> Option<&'static str> {
        match self.protocol() {
            Protocol::Query { version, .. } | Protocol::Ec2 { version, .. } => Some(version),
            Protocol::Json { .. } | Protocol::RestJson => None,
        }
    }

    /// True for a regional service.
    pub(super) const fn is_regional(self) -> bool {
        !matches!(self, Self::Iam | Self::Sts)
    }

    /// Service in the credential scope, otherwise IAM or STS by the API version.
    pub(super) fn of(scope: Option<&str>, version: Option<&str>) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|service| scope == Some(service.name()));
        let either = [Self::Iam, Self::Sts];
        named.or_else(|| {
            either.into_iter().find(|service| version.is_some() && version == service.version())
        })
    }
}
