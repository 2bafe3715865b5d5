//! Targets of a fault: services, actions and regions, written with wildcards.

use std::fmt;

use wildmatch::WildMatch;

use crate::error::{Error, Result};

use super::actions;
use super::faults::closest;
use super::service::Service;

/// Calls that a fault applies to. Written `SERVICE[:ACTION][@REGION]`, joined with `+`, such as
/// `ec2:Describe*@eu-west-1+batch`. A `*` matches any characters. The service is its permission
/// prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(Vec<FaultTarget>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FaultTarget {
    service: String,
    action: String,
    region: String,
}

const ANY: &str = "*";

impl Targets {
    /// Parses the value of a knob.
    pub(super) fn parse(knob: &str, text: &str) -> Result<Self> {
        let targets = text.split('+').map(|target| FaultTarget::parse(knob, target.trim()));
        Ok(Self(targets.collect::<Result<_>>()?))
    }

    /// Check for an empty list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contain(&self, service: Service, action: &str, region: &str) -> bool {
        self.0.iter().any(|target| {
            matches(&target.service, service.name())
                && matches(&target.action, action)
                && matches(&target.region, region)
        })
    }
}

impl FaultTarget {
    fn parse(knob: &str, text: &str) -> Result<Self> {
        let wrong = |what: String| Error::usage(format!("the fault `{knob}`: {what}"));
        let (rest, region) = text.split_once('@').unwrap_or((text, ANY));
        let (service, action) = rest.split_once(':').unwrap_or((rest, ANY));
        if [service, action, region].contains(&"") {
            let form = "SERVICE[:ACTION][@REGION], such as ec2:*@eu-west-1+batch";
            return Err(wrong(format!("`{text}` is not {form}")));
        }
        let services: Vec<_> = Service::ALL.into_iter().map(Service::name).collect();
        if !services.iter().any(|known| matches(service, known)) {
            let error = wrong(format!("there is no service `{service}`"));
            return Err(match closest(service, services.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("the services are {}", services.join(", "))),
            });
        }
        let known = || actions::actions().filter(|(prefix, _)| matches(service, prefix));
        if !known().any(|(_, name)| matches(action, name)) {
            let error = wrong(format!("`{service}` has no action `{action}`"));
            let names = known().map(|(_, name)| name);
            return Err(match closest(action, names) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            });
        }
        let is_region = |letter: char| letter.is_ascii_alphanumeric() || "-*?".contains(letter);
        if !region.chars().all(is_region) {
            return Err(wrong(format!("`{region}` is not a region such as eu-west-1")));
        }
        let [service, action, region] = [service, action, region].map(str::to_owned);
        Ok(Self { service, action, region })
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern == ANY || WildMatch::new(pattern).matches(text)
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, target) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "+" } else { "" })?;
            f.write_str(&target.service)?;
            if target.action != ANY {
                write!(f, ":{}", target.action)?;
            }
            if target.region != ANY {
                write!(f, "@{}", target.region)?;
            }
        }
        Ok(())
    }
}
