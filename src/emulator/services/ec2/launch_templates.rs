//! Launch templates and their versions.

use serde_json::{Value, json};

use super::super::super::ChangeError;
use super::super::super::call::Call;
use super::super::super::import::{ImportObject, kind_of, wrong};
use super::super::super::import_resources::id;
use super::super::super::read_txn::ReadTxn;
use super::super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::super::resources::{
    self, KindRow, Resource, ResourceKind, ResourceScope, number_of, version_key,
};
use super::super::super::synthetic::Synthetic;
use super::super::super::xml::Xml;
use super::super::listing::Listing;
use super::super::{moment, place};
use super::{
    Filters, NamedResource, check_dry_run, paging, requested, texts, write_given_profile,
    write_token,
};

pub(in super::super) const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "ec2.launch_template",
    new_id: Some(|synthetic| format!("lt-0{}", synthetic.hex(16))),
    fields: &["id", "name", "versions", "default_version"],
    describe: describe_template,
    versions: Some(VERSION),
    has_unique_names: true,
    ..KindRow::NAMED
});
/// Version of a launch template.
const VERSION: ResourceKind =
    ResourceKind::of(&KindRow { name: "ec2.launch_template.version", ..KindRow::NAMED });

const TEMPLATES: NamedResource = NamedResource {
    kind: KIND,
    ids: "LaunchTemplateId",
    code: "InvalidLaunchTemplateId.NotFound",
    noun: "specified launch template, with template ID",
};

/// `DescribeLaunchTemplates`: 1 to 200 a page.
pub(in super::super::super) fn describe(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let filters = Filters::of(call, &["launch-template-name"])?;
    let value: for<'r> fn(&'r Resource, &str) -> Option<&'r str> =
        |template, _| template.name.as_deref();
    let names = texts(call, "LaunchTemplateName");
    let (found, token) = if names.is_empty() {
        requested(view, call, &TEMPLATES, &paging(1, 200, 200), (&filters, value))?
    } else {
        check_dry_run(call)?;
        let mut found = Vec::new();
        for name in names {
            let template = by_name(view, call, name)?;
            found.extend(Some(template).filter(|one| filters.pass(|name| value(one, name))));
        }
        (found, None)
    };
    let account = &view.account.id;
    xml.within("launchTemplates", |xml| {
        for template in &found {
            xml.literal("<item>");
            xml.text("launchTemplateId", &template.key);
            xml.text("launchTemplateName", template.name());
            xml.text("createTime", &moment(template.created));
            xml.text("createdBy", &format!("arn:aws:iam::{account}:user/local-operator"));
            xml.plain("defaultVersionNumber", number(template, "default"));
            xml.plain("latestVersionNumber", number(template, "latest"));
            xml.literal("<operator><managed>false</managed></operator></item>");
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

/// `DescribeLaunchTemplateVersions`: 1 to 200 a page. For one template: all versions, or those
/// named. Across all templates: the latest version, the default version, or both.
pub(in super::super::super) fn describe_versions(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    check_dry_run(call)?;
    let filters = Filters::of(call, &["iam-instance-profile"])?;
    let (id, name) =
        (call.optional_text("LaunchTemplateId"), call.optional_text("LaunchTemplateName"));
    let template = match (id, name) {
        (Some(_), Some(_)) => {
            let message =
                "The request must specify either LaunchTemplateId or LaunchTemplateName, not both.";
            return Err(Refusal::not_there(400, "InvalidParameterCombination", message).into());
        }
        (Some(id), None) => Some(by_id(view, call, id)?),
        (None, Some(name)) => Some(by_name(view, call, name)?),
        (None, None) => None,
    };
    let wanted = texts(call, "LaunchTemplateVersion");
    let (found, token) = match &template {
        Some(template) if wanted.is_empty() => all_versions(view, call, template, &filters)?,
        Some(template) => {
            let mut found = Vec::new();
            for wanted in wanted {
                let version = version(view, template, wanted)?;
                let version = version.ok_or_else(|| {
                    let message = format!("Could not find the specified version {wanted} for the launch template with ID {}.", template.key);
                    Refusal::not_there(400, "InvalidLaunchTemplateId.VersionNotFound", message)
                })?;
                found.push((template.clone(), version));
            }
            (found, None)
        }
        None => of_all_templates(view, call, &wanted, &filters)?,
    };
    xml.within("launchTemplateVersionSet", |xml| {
        for (template, version) in &found {
            write_version(xml, &view.account.id, template, version);
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

type VersionPage = (Vec<(Resource, Resource)>, Option<String>);

fn profile_of<'r>(version: &'r Resource, _: &str) -> Option<&'r str> {
    version.profile.as_deref()
}

fn all_versions(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    template: &Resource,
    filters: &Filters,
) -> ApiResult<VersionPage> {
    let bound = |name, otherwise| match call.optional_text(name) {
        None => Ok(otherwise),
        Some(text) => text.parse::<i64>().map_err(|_| {
            Refusal::invalid_value(call.action.service, format!("{name} must be a number"))
        }),
    };
    let (min, max) = (bound("MinVersion", 0)?, bound("MaxVersion", i64::MAX)?);
    let scope = format!("{} {min} {max} {}", template.key, filters.scope());
    let listing = Listing::of(view, call, &paging(1, 200, 200), &scope)?;
    let versions = ResourceScope { kind: VERSION, region: call.region, parent: &template.key };
    let (found, token) = listing.page(view, versions, |version| {
        (min..=max).contains(&number_of(version)) && filters.pass(|name| profile_of(version, name))
    })?;
    Ok((found.into_iter().map(|version| (template.clone(), version)).collect(), token))
}

/// Versions across all templates. EC2 supports only `$Latest` and `$Default` there.
fn of_all_templates(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    wanted: &[&str],
    filters: &Filters,
) -> ApiResult<VersionPage> {
    let aliases = ["$Latest", "$Default"];
    if wanted.is_empty() || wanted.iter().any(|wanted| !aliases.contains(wanted)) {
        let message = "Either LaunchTemplateId or LaunchTemplateName must be given, or only the versions $Latest and $Default.";
        return Err(Refusal::not_there(400, "MissingParameter", message).into());
    }
    let scope = format!("all {wanted:?} {}", filters.scope());
    let listing = Listing::of(view, call, &paging(1, 200, 200), &scope)?;
    let start = listing.start()?;
    let mut found: Vec<(Resource, Resource)> = Vec::new();
    // A page may end between two versions of one template. The token has the number of versions
    // that were already on it.
    let (mut last, mut token) = (start.key.clone(), None);
    if start.number > 0
        && let Some(template) = resources::find(view.connection, place(call, KIND), &start.key)?
    {
        let rest = aliased(view, &template, wanted, filters)?;
        let skipped = usize::try_from(start.number).unwrap_or(usize::MAX);
        found.extend(rest.into_iter().skip(skipped).map(|version| (template.clone(), version)));
    }
    resources::scan(view.connection, place(call, KIND), &start.key, |template| {
        let versions = match aliased(view, &template, wanted, filters) {
            Ok(versions) => versions,
            Err(error) => return Err(error),
        };
        for (shown, version) in (0..).zip(versions) {
            if found.len() == listing.limit {
                let key = if shown == 0 { &last } else { &template.key };
                token = Some(listing.token(shown, key));
                return Ok(false);
            }
            found.push((template.clone(), version));
        }
        last.clone_from(&template.key);
        Ok(true)
    })?;
    Ok((found, token))
}

/// Versions of a template that `$Latest` and `$Default` refer to, without duplicates.
fn aliased(
    view: &ReadTxn<'_>,
    template: &Resource,
    wanted: &[&str],
    filters: &Filters,
) -> rusqlite::Result<Vec<Resource>> {
    let mut versions: Vec<Resource> = Vec::new();
    for alias in wanted {
        let version = version(view, template, alias)?;
        let version = version.filter(|version| filters.pass(|name| profile_of(version, name)));
        versions.extend(
            version.filter(|version| versions.iter().all(|known| known.key != version.key)),
        );
    }
    Ok(versions)
}

fn version(
    view: &ReadTxn<'_>,
    template: &Resource,
    wanted: &str,
) -> rusqlite::Result<Option<Resource>> {
    let number = match wanted {
        "$Latest" => Some(number(template, "latest")),
        "$Default" => Some(number(template, "default")),
        other => other.parse().ok(),
    };
    let Some(number) = number else { return Ok(None) };
    let place = ResourceScope { kind: VERSION, region: &template.region, parent: &template.key };
    resources::find(view.connection, place, &version_key(number))
}

fn by_id(view: &ReadTxn<'_>, call: &Call<'_>, id: &str) -> ApiResult<Resource> {
    let found = resources::find(view.connection, place(call, KIND), id)?;
    Ok(found.ok_or_else(|| {
        let message =
            format!("The specified launch template, with template ID {id}, does not exist.");
        Refusal::not_there(400, TEMPLATES.code, message)
    })?)
}

fn by_name(view: &ReadTxn<'_>, call: &Call<'_>, name: &str) -> ApiResult<Resource> {
    let found = resources::named(view.connection, KIND, call.region, name)?.pop();
    Ok(found.ok_or_else(|| {
        let message =
            "At least one of the launch templates specified in the request does not exist.";
        Refusal::not_there(400, "InvalidLaunchTemplateName.NotFoundException", message)
    })?)
}

fn number(template: &Resource, name: &str) -> i64 {
    template.more.get(name).and_then(serde_json::Value::as_i64).unwrap_or(1)
}

fn write_version(xml: &mut Xml, account: &str, template: &Resource, version: &Resource) {
    let own = number_of(version);
    xml.literal("<item>");
    xml.text("launchTemplateId", &template.key);
    xml.text("launchTemplateName", template.name());
    xml.plain("versionNumber", own);
    xml.text("createTime", &moment(version.created));
    xml.text("createdBy", &format!("arn:aws:iam::{account}:user/local-operator"));
    xml.plain("defaultVersion", own == number(template, "default"));
    xml.literal("<launchTemplateData>");
    if let Some(profile) = &version.profile {
        write_given_profile(xml, profile);
    }
    xml.literal("<imageId>ami-0");
    xml.literal(&Synthetic::of(&[&template.region, "image"]).hex(16));
    xml.literal("</imageId><instanceType>m5.large</instanceType></launchTemplateData>");
    xml.literal("<operator><managed>false</managed></operator></item>");
}

/// Reads a launch template from an account file, with its versions.
fn describe_template(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    resource.name = Some(entry.required_text("name")?);
    let versions = versions(entry)?;
    let numbers: Vec<_> = versions.iter().map(number_of).collect();
    let latest = numbers.iter().max().copied().unwrap_or(1);
    let default = entry.number("default_version")?.unwrap_or(numbers[0]);
    if !numbers.contains(&default) {
        let message = format!("there is no version {default} among the versions");
        return Err(wrong(&entry.at("default_version"), message));
    }
    resource.more.insert("latest".to_owned(), latest.into());
    resource.more.insert("default".to_owned(), default.into());
    Ok(versions)
}

fn versions(entry: &mut ImportObject) -> Result<Vec<Resource>, ChangeError> {
    let place = entry.at("versions");
    let entries = match entry.take("versions") {
        None => vec![json!({})],
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        Some(Value::Array(_)) => return Err(wrong(&place, "must have one entry at least")),
        Some(other) => {
            return Err(wrong(&place, format!("must be a list, not {}", kind_of(&other))));
        }
    };
    let mut versions: Vec<Resource> = Vec::new();
    for (index, value) in entries.into_iter().enumerate() {
        let mut entry = ImportObject::new(format!("{place}[{index}]"), value)?;
        let last = versions.last().map_or(0, number_of);
        let number = entry.number("number")?.unwrap_or(last + 1);
        if number <= last {
            let message = format!("must be more than {last}: numbers only grow");
            return Err(wrong(&entry.at("number"), message));
        }
        let profile = entry.short_text("profile")?;
        entry.finish(&["number", "profile"])?;
        versions.push(Resource { key: version_key(number), profile, ..Resource::default() });
    }
    Ok(versions)
}
