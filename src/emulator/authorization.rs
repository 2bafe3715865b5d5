//! Condition keys of a request to assume a role, and the decision of the role's trust policy.
//!
//! Names and meanings are those of the IAM User Guide, "AWS global condition context keys" and "IAM
//! and AWS STS condition context keys".

use super::call::{Call, Caller, OPERATOR_ID, OPERATOR_NAME};
use super::clock::iso8601;
use super::records::{Role, Tag};
use super::trust::conditions::Known;
use super::trust::evaluation::{Decision, Principal, TrustRequest, decide};
use super::web_identity::Token;
use super::write_txn::WriteTxn;

/// Request to assume a role.
#[derive(Debug)]
pub(super) struct RoleAssumption<'a> {
    pub(super) edit: &'a WriteTxn<'a>,
    pub(super) call: &'a Call<'a>,
    /// Role to assume.
    pub(super) role: &'a Role,
    /// Role of the calling session.
    pub(super) calling_role: Option<&'a Role>,
    /// Tags in the request.
    pub(super) tags: &'a [Tag],
    /// Time of MFA authentication, in seconds since 1970.
    pub(super) mfa: Option<i64>,
    /// Identity provider's token, for a request without credentials.
    pub(super) token: Option<&'a Token>,
}

/// Condition keys that are never present here. AWS sets them for requests from AWS services, other
/// kinds of federation and private networks.
const ABSENT: [&str; 12] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:vpcsourceip",
];

impl RoleAssumption<'_> {
    /// Evaluates the role's trust policy for an action.
    pub(super) fn decide(&self, action: &str) -> Decision {
        let (principal, keys) = (self.principal(), |key: &str| self.key(key));
        decide(&self.role.trust, &TrustRequest { action, principal: &principal, keys: &keys })
    }

    fn principal(&self) -> Principal {
        if let Some(token) = self.token {
            return Principal::Federated(token.provider.clone());
        }
        let account = &self.edit.account;
        let mut names = vec![account.root_arn(), account.id.clone(), self.call.caller.arn(account)];
        match &self.call.caller {
            Caller::Operator => names.push(OPERATOR_ID.to_owned()),
            Caller::Session { role_id, .. } => {
                names.push(role_id.clone());
                names.extend(self.call.context.role_arn.clone());
            }
        }
        Principal::Aws(names)
    }

    /// Value of a condition key. `key` is in lower case.
    fn key(&self, key: &str) -> Known {
        if let Some(token) = self.token
            && let Some(claim) = key.strip_prefix(&format!("{}:", token.issuer.to_lowercase()))
        {
            return token.claim(claim).into();
        }
        match key {
            "sts:externalid" => self.parameter("ExternalId"),
            "sts:rolesessionname" => self.parameter("RoleSessionName"),
            "sts:sourceidentity" => self.parameter("SourceIdentity"),
            "sts:durationseconds" => self.parameter("DurationSeconds"),
            "sts:transitivetagkeys" => {
                let keys = self.call.form.list("TransitiveTagKeys").unwrap_or_default();
                let keys = keys.iter().filter_map(|key| key.field(""));
                keys.map(str::to_owned).collect::<Vec<_>>().into()
            }
            "aws:tagkeys" => self.tags.iter().map(|tag| tag.key.clone()).collect::<Vec<_>>().into(),
            "aws:currenttime" => Known::one(iso8601(self.edit.seconds())),
            "aws:epochtime" => Known::one(self.edit.seconds().to_string()),
            "aws:requestedregion" => Known::one(self.call.region),
            "aws:resourceaccount" => Known::one(&self.edit.account.id),
            "aws:securetransport" => Known::one("true"),
            "aws:viaawsservice" | "aws:principalisawsservice" => Known::one("false"),
            key => self.tag_key(key).unwrap_or_else(|| self.principal_key(key)),
        }
    }

    /// Value of a condition key that names a tag.
    fn tag_key(&self, key: &str) -> Option<Known> {
        let (kind, name) = key.split_once('/')?;
        let value = match kind {
            "aws:requesttag" => value_of(self.tags, name),
            "aws:resourcetag" | "iam:resourcetag" => value_of(self.role.tags.iter(), name),
            // A session tag overrides the role's tag of the same key.
            "aws:principaltag" => value_of(&self.call.context.tags, name)
                .or_else(|| value_of(self.calling_role?.tags.iter(), name)),
            _ => return None,
        };
        Some(value.into())
    }

    /// Value of a condition key about the caller.
    fn principal_key(&self, key: &str) -> Known {
        let context = &self.call.context;
        let provider = self.token.map(|token| token.provider.clone());
        if key == "aws:federatedprovider" {
            return provider.or_else(|| context.federated_provider.clone()).into();
        }
        if ABSENT.contains(&key) || key.starts_with("saml:") {
            return Known::Absent;
        }
        let is_federated = provider.is_some();
        let account = &self.edit.account;
        let known: Option<String> = match key {
            "aws:multifactorauthpresent" => {
                let is_temporary = context.issued.is_some();
                (self.mfa.is_some() || is_temporary).then(|| self.mfa.is_some().to_string())
            }
            "aws:multifactorauthage" => self.mfa.map(|at| (self.edit.seconds() - at).to_string()),
            "aws:tokenissuetime" => context.issued.map(iso8601),
            "aws:sourceidentity" => context.source_identity.clone(),
            "aws:principalarn" => match &self.call.caller {
                Caller::Operator => Some(self.call.caller.arn(account)),
                Caller::Session { .. } => context.role_arn.clone(),
            },
            "aws:principalaccount" => Some(account.id.clone()),
            "aws:userid" => Some(self.call.caller.user_id()),
            "aws:username" => match &self.call.caller {
                Caller::Operator => Some(OPERATOR_NAME.to_owned()),
                Caller::Session { .. } => None,
            },
            "aws:principaltype" => Some(match &self.call.caller {
                Caller::Operator => "User".to_owned(),
                Caller::Session { .. } => "AssumedRole".to_owned(),
            }),
            // The condition keys of an identity provider consist of its host, path and claim.
            key if !key.starts_with("aws:") && key.split(':').next().is_some_and(is_host) => None,
            _ => return Known::NotUnderstood,
        };
        // The holder of a token is not an IAM principal yet.
        if is_federated { Known::Absent } else { known.into() }
    }

    fn parameter(&self, name: &str) -> Known {
        self.call.optional_text(name).map(str::to_owned).into()
    }
}

/// Value of the tag with a key, which is given in lower case.
fn value_of<'a>(tags: impl IntoIterator<Item = &'a Tag>, key: &str) -> Option<String> {
    tags.into_iter().find(|tag| tag.key.to_lowercase() == key).map(|tag| tag.value.clone())
}

fn is_host(text: &str) -> bool {
    text.contains('.')
}
