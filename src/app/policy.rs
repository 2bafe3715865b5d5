//! Minimal IAM policy that a runbook needs, from the functions that its manifest allows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::iam::{self, Entry, Implementation};
use crate::spec::{Action, Resource, Service};

/// Owner of the resources in a policy.
#[derive(Clone, Debug)]
pub struct PolicyScope {
    /// The account's 12 digits, or `*`.
    pub account: String,
    /// Partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

/// Policy for the functions of an allow-list: their calls, and the gate's reads before a change.
/// `counts` adds the call that counts profiles.
#[must_use]
pub fn of(entries: &[&Entry], counts: bool, scope: &PolicyScope) -> Value {
    let mut actions: BTreeMap<Resource, BTreeSet<&str>> = BTreeMap::new();
    // Actions of other services that may name a profile.
    let mut elsewhere = BTreeSet::new();
    let mut add = |action: &Action| {
        if action.service == Service::IAM {
            actions.entry(action.resource).or_default().insert(action.name);
        } else if action.service != Service::STS {
            elsewhere.insert(format!("{}:{}", action.service.prefix(), action.name));
        }
        // `GetCallerIdentity` needs no permission, and a role's trust policy also decides who may
        // assume it.
    };
    for entry in entries {
        entry.spec.actions.iter().for_each(&mut add);
        for action in entry.spec.actions {
            let Some((one, write)) = iam::write(action.name) else { continue };
            if write.creates() && one.spec.param("tags").is_some() {
                // AWS requires this action for a creation with tags.
                add(&write.subject.actions().tag);
            }
            one.plan_reads().for_each(|action| add(&action));
            read_before(write.subject.functions().get, &mut add);
            if write.subject.is_held_by_profiles() && !write.creates() {
                // The role in a protected profile is protected.
                read_before("profiles.list_for_role", &mut add);
                read_before("profiles.get", &mut add);
            }
            if write.needs_policies {
                read_before("roles.list_attached_policies", &mut add);
            }
        }
    }
    if counts {
        add(&iam::GET_ACCOUNT_SUMMARY);
    }
    let passes_roles = entries
        .iter()
        .flat_map(|entry| entry.spec.actions)
        .filter_map(|action| iam::write(action.name))
        .any(|(_, write)| write.passes_role);
    let PolicyScope { account, partition } = scope;
    let mut statements = Vec::new();
    for (resource, names) in actions {
        let (sid, arn) = match resource {
            Resource::All => ("Account", "*".to_owned()),
            Resource::Profiles => {
                ("Profiles", format!("arn:{partition}:iam::{account}:instance-profile/*"))
            }
            Resource::Roles => ("Roles", format!("arn:{partition}:iam::{account}:role/*")),
        };
        let names: Vec<_> = names.into_iter().map(|name| format!("iam:{name}")).collect();
        statements.push(json!({ "Sid": sid, "Effect": "Allow", "Action": names, "Resource": arn }));
    }
    if !elsewhere.is_empty() {
        // These calls cannot be restricted to resources that are known in advance.
        statements.push(json!({
            "Sid": "References",
            "Effect": "Allow",
            "Action": elsewhere,
            "Resource": "*",
        }));
    }
    if passes_roles {
        let ec2 = if partition == "aws-cn" { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
        statements.push(json!({
            "Sid": "PassRoles",
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": format!("arn:{partition}:iam::{account}:role/*"),
            "Condition": { "StringEquals": { "iam:PassedToService": ec2 } },
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn read_before(path: &'static str, add: &mut impl FnMut(&Action)) {
    let entry = iam::entry(path);
    if matches!(entry.run, Implementation::Read(..)) {
        entry.spec.actions.iter().for_each(add);
    }
}
