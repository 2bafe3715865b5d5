//! Fast reader of a page of profiles. The SDK's parser takes most of the time of listing a large
//! account, so the answers of that one call are parsed here, straight into the SDK's own types.
//! Only plain pages are. Anything unexpected (a failure, an unknown element, an escaped character)
//! is left to the SDK, so that only the speed depends on this reader.

use aws_sdk_iam::operation::list_instance_profiles::{
    ListInstanceProfiles, ListInstanceProfilesOutput,
};
use aws_sdk_iam::types::{InstanceProfile, Role};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, Error, Output,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use aws_smithy_types::date_time::Format;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Puts the fast reader before the SDK's own, for one call.
#[derive(Debug)]
pub struct FastPages;

impl Intercept for FastPages {
    fn name(&self) -> &'static str {
        "FastPages"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(sdk) = ListInstanceProfiles::new().config() {
            cfg.interceptor_state().store_put(SharedResponseDeserializer::new(Fast { sdk }));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Fast {
    /// The SDK's configuration of the call, including its own reader.
    sdk: FrozenLayer,
}

impl DeserializeResponse for Fast {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        cfg: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().filter(|_| response.status().as_u16() == 200);
        match body.map(page) {
            Some(Ok(page)) => Ok(Output::erase(page)),
            Some(Err(Odd)) | None => match self.sdk.load::<SharedResponseDeserializer>() {
                Some(sdk) => sdk.deserialize_nonstreaming_with_config(response, cfg),
                None => Err(OrchestratorError::other("the SDK has no reader for this answer")),
            },
        }
    }
}

/// Error for a page that is not plain.
#[derive(Debug)]
struct Odd;

/// A page in the SDK's type.
fn page(body: &[u8]) -> Result<ListInstanceProfilesOutput, Odd> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).or(Err(Odd))?);
    reader.config_mut().expand_empty_elements = true;
    let mut xml = Xml { reader, date: None };
    let mut page = ListInstanceProfilesOutput::builder().set_instance_profiles(Some(Vec::new()));
    let mut is_whole = false;
    xml.open(Tag::Response)?;
    while let Some(tag) = xml.next()? {
        match tag {
            Tag::Result => {
                while let Some(tag) = xml.next()? {
                    page = match tag {
                        Tag::InstanceProfiles => page.set_instance_profiles(Some(xml.profiles()?)),
                        Tag::IsTruncated => {
                            is_whole = true;
                            page.is_truncated(match xml.text()?.as_str() {
                                "true" => true,
                                "false" => false,
                                _ => return Err(Odd),
                            })
                        }
                        Tag::Marker => page.marker(xml.text()?),
                        _ => return Err(Odd),
                    };
                }
            }
            Tag::ResponseMetadata => {
                xml.open(Tag::RequestId)?;
                xml.text()?;
                xml.close()?;
            }
            _ => return Err(Odd),
        }
    }
    if is_whole { page.build().or(Err(Odd)) } else { Err(Odd) }
}

/// The elements of such a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Response,
    Result,
    ResponseMetadata,
    RequestId,
    InstanceProfiles,
    IsTruncated,
    Marker,
    Member,
    Path,
    InstanceProfileName,
    InstanceProfileId,
    Arn,
    CreateDate,
    Roles,
    RoleName,
    RoleId,
    AssumeRolePolicyDocument,
}

impl Tag {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "member" => Self::Member,
            "Path" => Self::Path,
            "InstanceProfileName" => Self::InstanceProfileName,
            "InstanceProfileId" => Self::InstanceProfileId,
            "Arn" => Self::Arn,
            "CreateDate" => Self::CreateDate,
            "Roles" => Self::Roles,
            "RoleName" => Self::RoleName,
            "RoleId" => Self::RoleId,
            "AssumeRolePolicyDocument" => Self::AssumeRolePolicyDocument,
            "InstanceProfiles" => Self::InstanceProfiles,
            "IsTruncated" => Self::IsTruncated,
            "Marker" => Self::Marker,
            "ResponseMetadata" => Self::ResponseMetadata,
            "RequestId" => Self::RequestId,
            "ListInstanceProfilesResponse" => Self::Response,
            "ListInstanceProfilesResult" => Self::Result,
            _ => return None,
        })
    }
}

struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    /// The last date: those made together have the same.
    date: Option<(String, DateTime)>,
}

impl Xml<'_> {
    /// The next element in this one; none at its end.
    fn next(&mut self) -> Result<Option<Tag>, Odd> {
        loop {
            match self.reader.read_event().or(Err(Odd))? {
                Event::Start(start) => return Tag::of(start.name().as_ref()).map(Some).ok_or(Odd),
                Event::End(_) => return Ok(None),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Decl(_) => {}
                _ => return Err(Odd),
            }
        }
    }

    fn open(&mut self, tag: Tag) -> Result<(), Odd> {
        (self.next()? == Some(tag)).then_some(()).ok_or(Odd)
    }

    fn close(&mut self) -> Result<(), Odd> {
        self.next()?.is_none().then_some(()).ok_or(Odd)
    }

    /// The text of an element, to its end.
    fn text(&mut self) -> Result<String, Odd> {
        match self.reader.read_event().or(Err(Odd))? {
            Event::Text(text) => {
                let text = text.to_string();
                matches!(self.reader.read_event().or(Err(Odd))?, Event::End(_))
                    .then_some(text)
                    .ok_or(Odd)
            }
            Event::End(_) => Ok(String::new()),
            _ => Err(Odd),
        }
    }

    fn date(&mut self) -> Result<DateTime, Odd> {
        let text = self.text()?;
        if let Some((_, date)) = self.date.as_ref().filter(|(last, _)| *last == text) {
            return Ok(*date);
        }
        let date = DateTime::from_str(&text, Format::DateTimeWithOffset).or(Err(Odd))?;
        self.date = Some((text, date));
        Ok(date)
    }

    fn profiles(&mut self) -> Result<Vec<InstanceProfile>, Odd> {
        let mut profiles = Vec::new();
        while let Some(tag) = self.next()? {
            if tag != Tag::Member {
                return Err(Odd);
            }
            let mut profile = InstanceProfile::builder();
            while let Some(tag) = self.next()? {
                profile = match tag {
                    Tag::Path => profile.path(self.text()?),
                    Tag::InstanceProfileName => profile.instance_profile_name(self.text()?),
                    Tag::InstanceProfileId => profile.instance_profile_id(self.text()?),
                    Tag::Arn => profile.arn(self.text()?),
                    Tag::CreateDate => profile.create_date(self.date()?),
                    Tag::Roles => profile.set_roles(Some(self.roles()?)),
                    _ => return Err(Odd),
                };
            }
            profiles.push(profile.build().or(Err(Odd))?);
        }
        Ok(profiles)
    }

    fn roles(&mut self) -> Result<Vec<Role>, Odd> {
        let mut roles = Vec::new();
        while let Some(tag) = self.next()? {
            if tag != Tag::Member {
                return Err(Odd);
            }
            let mut role = Role::builder();
            while let Some(tag) = self.next()? {
                role = match tag {
                    Tag::Path => role.path(self.text()?),
                    Tag::RoleName => role.role_name(self.text()?),
                    Tag::RoleId => role.role_id(self.text()?),
                    Tag::Arn => role.arn(self.text()?),
                    Tag::CreateDate => role.create_date(self.date()?),
                    Tag::AssumeRolePolicyDocument => role.assume_role_policy_document(self.text()?),
                    _ => return Err(Odd),
                };
            }
            roles.push(role.build().or(Err(Odd))?);
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::client::{Backend, Connection};
    use crate::emulator::{Emulator, EmulatorSettings};

    /// The sample of AWS's documentation, with a page after it.
    const SAMPLE: &str = r#"<ListInstanceProfilesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
  <ListInstanceProfilesResult>
    <IsTruncated>true</IsTruncated>
    <Marker>AbC=</Marker>
    <InstanceProfiles>
      <member>
        <Arn>arn:aws:iam::123456789012:instance-profile/application_abc/component_xyz/Database</Arn>
        <CreateDate>2012-05-09T16:27:03Z</CreateDate>
        <InstanceProfileId>AIPACKCEVSQ6C2EXAMPLE</InstanceProfileId>
        <InstanceProfileName>Database</InstanceProfileName>
        <Path>/application_abc/component_xyz/</Path>
        <Roles/>
      </member>
    </InstanceProfiles>
  </ListInstanceProfilesResult>
  <ResponseMetadata>
    <RequestId>fd74fa8d-99f3-11e1-a4c3-27EXAMPLE804</RequestId>
  </ResponseMetadata>
</ListInstanceProfilesResponse>"#;

    #[test]
    fn a_plain_page_is_read_and_nothing_else() {
        let read = page(SAMPLE.as_bytes()).expect("a page");
        assert_eq!((read.is_truncated, read.marker.as_deref()), (true, Some("AbC=")));
        let profile = &read.instance_profiles[0];
        assert_eq!(profile.instance_profile_name, "Database");
        assert_eq!(profile.create_date, DateTime::from_secs(1_336_580_823));
        for (what, with) in [
            ("<Marker>AbC=", "<Marker>A&amp;b"),
            ("<Roles/>", "<Roles/><Tags/>"),
            ("<Path>/app", "<Path><b/>/app"),
            ("<IsTruncated>true</IsTruncated>", ""),
            (
                "<Arn>arn:aws:iam::123456789012:instance-profile/application_abc/component_xyz/Database</Arn>",
                "",
            ),
            ("2012-05-09T16:27:03Z", "yesterday"),
            ("</ListInstanceProfilesResponse>", ""),
            ("ListInstanceProfilesResponse", "ErrorResponse"),
        ] {
            assert!(SAMPLE.contains(what), "{what}");
            assert!(page(SAMPLE.replace(what, with).as_bytes()).is_err(), "{what} -> {with}");
        }
        for end in 0..SAMPLE.len() {
            assert!(page(&SAMPLE.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    /// Also where it leaves a page to the SDK: a path may have characters that are escaped.
    #[tokio::test]
    async fn it_reads_what_the_sdk_reads() {
        let account = Emulator::in_memory(EmulatorSettings::default()).expect("memory");
        let connection =
            Connection { target: Backend::local(account.http_client()), ..Connection::default() };
        let iam = connection.clients(|client| client).await.expect("clients").iam;
        let list = || iam.list_instance_profiles().max_items(20);
        for round in 0..2 {
            let fast = list().customize().interceptor(FastPages).send().await.expect("a page");
            let slow = list().send().await.expect("a page");
            assert_eq!(fast.instance_profiles, slow.instance_profiles);
            assert_eq!((fast.marker, fast.is_truncated), (slow.marker, slow.is_truncated));
            assert!(slow.is_truncated && fast.instance_profiles.len() == 20, "{round}");
            let odd = iam.create_instance_profile().instance_profile_name("odd").path("/!a&b<c>/");
            odd.send().await.ok();
        }
        let wrong = list().marker("no such marker").customize().interceptor(FastPages).send().await;
        assert!(wrong.expect_err("a failure").to_string().contains("service error"));
    }
}
