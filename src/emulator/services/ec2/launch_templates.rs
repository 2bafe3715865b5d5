//! Launch templates and their versions.

use super::super::super::call::Call;
use super::super::super::read_txn::ReadTxn;
use super::super::super::refusal::{ApiResult, Failure, Refusal};
use super::super::super::resources::{self, Kind, Resource, ResourceScope, number_of, version_key};
use super::super::super::synthetic::Synthetic;
use super::super::super::xml::Xml;
use super::super::listing::Listing;
use super::super::{moment, place};
use super::{
    Filters, NamedResource, check_dry_run, paging, requested, texts, write_given_profile,
    write_token,
};

const TEMPLATES: NamedResource = NamedResource {
    kind: Kind::LaunchTemplate,
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
        Ok::<(), Failure>(())
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
        Ok::<(), Failure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

type Page = (Vec<(Resource, Resource)>, Option<String>);

fn profile_of<'r>(version: &'r Resource, _: &str) -> Option<&'r str> {
    version.profile.as_deref()
}

fn all_versions(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    template: &Resource,
    filters: &Filters,
) -> ApiResult<Page> {
    let bound = |name, otherwise| match call.optional_text(name) {
        None => Ok(otherwise),
        Some(text) => text.parse::<i64>().map_err(|_| {
            Refusal::invalid_value(call.action.service, format!("{name} must be a number"))
        }),
    };
    let (min, max) = (bound("MinVersion", 0)?, bound("MaxVersion", i64::MAX)?);
    let scope = format!("{} {min} {max} {}", template.key, filters.scope());
    let listing = Listing::of(view, call, &paging(1, 200, 200), &scope)?;
    let versions = ResourceScope {
        kind: Kind::LaunchTemplateVersion,
        region: call.region,
        parent: &template.key,
    };
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
) -> ApiResult<Page> {
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
        && let Some(template) =
            resources::find(view.connection, place(call, Kind::LaunchTemplate), &start.key)?
    {
        let rest = aliased(view, &template, wanted, filters)?;
        let skipped = usize::try_from(start.number).unwrap_or(usize::MAX);
        found.extend(rest.into_iter().skip(skipped).map(|version| (template.clone(), version)));
    }
    resources::scan(view.connection, place(call, Kind::LaunchTemplate), &start.key, |template| {
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
    let place = ResourceScope {
        kind: Kind::LaunchTemplateVersion,
        region: &template.region,
        parent: &template.key,
    };
    resources::find(view.connection, place, &version_key(number))
}

fn by_id(view: &ReadTxn<'_>, call: &Call<'_>, id: &str) -> ApiResult<Resource> {
    let found = resources::find(view.connection, place(call, Kind::LaunchTemplate), id)?;
    Ok(found.ok_or_else(|| {
        let message =
            format!("The specified launch template, with template ID {id}, does not exist.");
        Refusal::not_there(400, TEMPLATES.code, message)
    })?)
}

fn by_name(view: &ReadTxn<'_>, call: &Call<'_>, name: &str) -> ApiResult<Resource> {
    let found = resources::named(view.connection, Kind::LaunchTemplate, call.region, name)?.pop();
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
