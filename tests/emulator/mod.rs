//! Local account, by its requests and responses. Expected responses come from recordings of AWS and
//! its documentation (`iam-semantics.md`), never from our own output.

mod account;
mod endpoint;
mod faults;
mod paging;
mod partitions;
mod policies;
mod policy_documents;
mod refusals;
mod resources;
mod results;
mod role_updates;
mod sdk;
mod security_tokens;
mod services;
mod storage;
mod transfer;
mod trust;

use std::collections::BTreeMap;

use iamlua::emulator::{
    Answer, Clock, Contents, Emulator, EmulatorSettings, ManualClock, Reply, Request,
};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

/// Trust policy for EC2, as in the AWS guide.
pub const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// Trust policy that lets in everybody in the account, with tags and a source identity.
pub const TRUST_ACCOUNT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}"#;

/// Client of an account, with an access key.
pub struct Client {
    pub emulator: Emulator,
    access_key: String,
    runtime: Runtime,
}

impl Client {
    pub fn of(emulator: Emulator) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { emulator, access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(), runtime }
    }

    /// Client of an empty account in memory, with a fixed clock and seed.
    pub fn of_empty_account() -> Self {
        Self::with_options(options())
    }

    pub fn with_options(options: EmulatorSettings) -> Self {
        let emulator = Emulator::in_memory(options).expect("memory needs no file");
        emulator.reset(Contents::Empty).expect("memory can be written");
        Self::of(emulator)
    }

    pub fn with_access_key(&self, access_key: &str) -> Self {
        Self { access_key: access_key.to_owned(), ..Self::of(self.emulator.clone()) }
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a request, and returns any response.
    pub fn answer(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let request = request(&self.access_key, action, parameters);
        self.runtime.block_on(self.emulator.answer(request))
    }

    /// Sends a request that must be answered.
    pub fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        match self.answer(action, parameters) {
            Answer::Reply(reply) => reply,
            Answer::Lost | Answer::Cut(_) => panic!("the answer to {action} got lost"),
        }
    }

    /// Sends a request that must succeed; returns the result.
    pub fn get(&self, action: &str, parameters: &[(&str, &str)]) -> Element {
        let reply = self.ask(action, parameters);
        assert_eq!(reply.status, 200, "{action} {parameters:?}: {}", reply.body);
        let response = Element::parse(&reply.body);
        response.child(&format!("{action}Result")).cloned().unwrap_or_default()
    }

    /// Sends a request that must be refused; returns status, code and message.
    pub fn refused(&self, action: &str, parameters: &[(&str, &str)]) -> (u16, String, String) {
        let reply = self.ask(action, parameters);
        assert_ne!(reply.status, 200, "{action} {parameters:?} was not refused: {}", reply.body);
        let response = Element::parse(&reply.body);
        (reply.status, response.text("Error/Code"), response.text("Error/Message"))
    }

    pub fn create_profile(&self, name: &str, path: &str) {
        self.get("CreateInstanceProfile", &[("InstanceProfileName", name), ("Path", path)]);
    }

    pub fn create_role(&self, name: &str) {
        self.create_trusting_role(name, TRUST);
    }

    pub fn create_trusting_role(&self, name: &str, trust: &str) {
        self.get("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust)]);
    }

    /// Trust policy of a role, as `GetRole` returns it.
    pub fn trust_of(&self, role: &str) -> String {
        let encoded =
            self.get("GetRole", &[("RoleName", role)]).text("Role/AssumeRolePolicyDocument");
        percent_encoding::percent_decode_str(&encoded).decode_utf8_lossy().into_owned()
    }

    /// Client with the credentials of a result.
    pub fn with_credentials_of(&self, result: &Element) -> Self {
        self.with_access_key(&result.text("Credentials/AccessKeyId"))
    }
}

/// Settings with a clock at the first seconds of 2026, and a seed.
pub fn options() -> EmulatorSettings {
    let clock = Clock::Manual(stopped_clock());
    EmulatorSettings { clock, seed: Some(1), ..EmulatorSettings::default() }
}

pub fn stopped_clock() -> ManualClock {
    ManualClock::new("2026-01-02T03:04:05Z".parse::<Timestamp>().expect("a date"))
}

/// Request as an SDK would send it.
pub fn request(access_key: &str, action: &str, parameters: &[(&str, &str)]) -> Request {
    let (service, version) = match action {
        "AssumeRole" | "AssumeRoleWithWebIdentity" | "GetCallerIdentity" | "GetSessionToken" => {
            ("sts", "2011-06-15")
        }
        _ => ("iam", "2010-05-08"),
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", version);
    form.extend_pairs(parameters);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/20260102/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=00"
    );
    let body = form.finish().into_bytes();
    Request { authorization: Some(authorization), body, ..Request::default() }
}

/// XML element, as far as the Query protocol needs it.
#[derive(Clone, Debug, Default)]
pub struct Element {
    pub name: String,
    pub attributes: String,
    pub content: String,
    pub children: Vec<Element>,
}

impl Element {
    /// Parses a whole document, which must be well-formed.
    pub fn parse(xml: &str) -> Self {
        let (element, rest) = Self::read(xml);
        assert_eq!(rest, "", "something follows the document");
        element
    }

    fn read(xml: &str) -> (Self, &str) {
        let (tag, mut rest) =
            xml.strip_prefix('<').and_then(|xml| xml.split_once('>')).expect("an element");
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element =
            Self { name: name.to_owned(), attributes: attributes.to_owned(), ..Self::default() };
        if closed {
            return (element, rest);
        }
        loop {
            if let Some(after) = rest.strip_prefix(&format!("</{name}>")) {
                return (element, after);
            }
            if rest.starts_with('<') {
                let child;
                (child, rest) = Self::read(rest);
                element.children.push(child);
            } else {
                let (text, after) = rest.split_at(rest.find('<').expect("a closing tag"));
                element.content = unescape(text);
                rest = after;
            }
        }
    }

    /// Child at the end of a path of names.
    pub fn child(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == name)
        })
    }

    pub fn text(&self, path: &str) -> String {
        let child = self.child(path);
        child.unwrap_or_else(|| panic!("no {path} in {self:?}")).content.clone()
    }

    /// Members of the list at the end of a path.
    pub fn members(&self, path: &str) -> &[Self] {
        let list = self.child(path).unwrap_or_else(|| panic!("no {path} in {self:?}"));
        assert!(list.children.iter().all(|child| child.name == "member"), "{list:?}");
        &list.children
    }

    /// One text of every member of a list.
    pub fn texts(&self, list: &str, name: &str) -> Vec<String> {
        self.members(list).iter().map(|member| member.text(name)).collect()
    }

    /// Names of the children, sorted.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self.children.iter().map(|child| child.name.as_str()).collect();
        keys.sort_unstable();
        keys
    }

    /// `<Tags>` of the element, as a map.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.members("Tags").iter().map(|tag| (tag.text("Key"), tag.text("Value"))).collect()
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#xD;", "\r")
        .replace("&amp;", "&")
}
