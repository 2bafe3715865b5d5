//! Texts that refer to a profile, and texts that only look similar.

use iamlua::usage::{By, Ruling};

use super::{ACCOUNT, judge, profile, rested, role, ruling, subject, verdict, with};

#[test]
fn a_text_means_the_profile_of_that_name_and_no_other() {
    let id = subject("web").id;
    let arn = |path: &str| format!("arn:aws:iam::{ACCOUNT}:instance-profile{path}");
    for (text, by) in [
        // The ARN with its path, or with that of an earlier profile of the same name. Names ignore
        // case.
        (arn("/ec2/web"), By::Arn),
        (arn("/web"), By::Arn),
        (arn("/other/path/web"), By::Arn),
        (arn("/ec2/WEB"), By::Arn),
        (arn("/${Stage}/web"), By::Arn),
        (id, By::Id),
        ("web".into(), By::Name),
        ("Web".into(), By::Name),
    ] {
        let scan = with(profile(text.as_str()));
        let v = verdict(&scan, "web");
        assert_eq!((v.ruling, v.references.len()), (Ruling::Used, 1), "{text}");
        assert_eq!((v.references[0].by, &*v.references[0].text), (by, text.as_str()));
        for other in ["web-2", "my-web", "web.", "we", "webb", "w", "ec2", "AIPA"] {
            assert_eq!(ruling(&scan, other), Ruling::Unused, "{text} is not {other}");
        }
    }
}

#[test]
fn what_is_alike_or_of_another_account_means_nothing() {
    let id = subject("web").id;
    for text in [
        "web-2".to_owned(),
        "my-web".into(),
        "web.".into(),
        "web,web".into(),
        "we".into(),
        "webweb".into(),
        "w=eb".into(),
        "@web".into(),
        "web-role".into(),
        id.to_lowercase(),
        format!("{id}A"),
        format!("arn:aws:iam::{ACCOUNT}:instance-profile/web/other"),
        format!("arn:aws:iam::{ACCOUNT}:instance-profile/ec2/web-2"),
        format!("arn:aws:iam::{ACCOUNT}:instance-profile/my/my-web"),
        "arn:aws:iam::210987654321:instance-profile/ec2/web".into(),
        "arn:aws:iam::210987654321:instance-profile/web".into(),
        "arn:aws:iam::210987654321:role/web".into(),
        format!("arn:aws-cn:iam::{ACCOUNT}:instance-profile/ec2/web"),
        format!("arn:aws-us-gov:iam::{ACCOUNT}:instance-profile/web"),
        String::new(),
    ] {
        assert_eq!(ruling(&with(profile(text.as_str())), "web"), Ruling::Unused, "{text}");
    }
}

#[test]
fn every_name_that_iam_allows_is_found() {
    let longest = "x".repeat(128);
    for name in ["a", "A+b=c,d.e@f-g_h", "0", "-", ".", "=", "AIPAABCDEFGHIJKLMNOPQ", &longest] {
        let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/a/b/{name}");
        for text in [name.to_owned(), name.to_lowercase(), arn] {
            let scan = with(profile(text.as_str()));
            assert_eq!(ruling(&scan, name), Ruling::Used, "{text}");
            assert_eq!(ruling(&scan, &format!("{name}0")), Ruling::Unused, "{text}");
        }
    }
}

/// Short names, so that many are parts of others: only equal ones match.
#[test]
fn of_random_names_only_the_same_is_meant() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut name = || -> String {
        (0..random.usize(1..4))
            .map(|_| random.choice(*b"aA-.b").map(char::from).expect("a letter"))
            .collect()
    };
    for _ in 0..2000 {
        let (text, asked) = (name(), name());
        let expected =
            if text.eq_ignore_ascii_case(&asked) { Ruling::Used } else { Ruling::Unused };
        assert_eq!(ruling(&with(profile(text.as_str())), &asked), expected, "{text} {asked}");
        let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/{asked}/{text}");
        assert_eq!(ruling(&with(profile(arn.as_str())), &asked), expected, "{arn} {asked}");
    }
}

#[test]
fn an_earlier_profile_of_that_name_counts() {
    // The instance runs with a profile that was deleted and created again: its next credentials
    // come from the new one.
    let mut scan = iamlua::usage::Scan::new(super::scope());
    let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/web");
    scan.add(
        "ec2.instances",
        super::REGION,
        "i-1",
        "running",
        [profile(arn), profile("AIPAOLDOLDOLDOLDOLDOL")],
    );
    let scan = super::finished(scan);
    let v = verdict(&scan, "web");
    assert_eq!((v.ruling, v.references[0].by), (Ruling::Used, By::Arn));
}

#[test]
fn a_role_means_every_profile_that_holds_it() {
    for text in [
        format!("arn:aws:iam::{ACCOUNT}:role/web-role"),
        format!("arn:aws:iam::{ACCOUNT}:role/eks/WEB-role"),
        "web-role".into(),
    ] {
        let scan = with(role(text.as_str()));
        let v = verdict(&scan, "web");
        assert_eq!((v.ruling, v.references[0].by), (Ruling::Used, By::Role), "{text}");
        let mut other = subject("other");
        assert_eq!(judge(&scan, &other, &rested(&other)).ruling, Ruling::Unused, "{text}");
        other.roles = vec!["web-role".into()];
        assert_eq!(judge(&scan, &other, &rested(&other)).ruling, Ruling::Used, "{text}");
        // The text names the role, not a profile with that name.
        let mut named = subject("web-role");
        named.roles.clear();
        assert_eq!(judge(&scan, &named, &rested(&named)).ruling, Ruling::Unused, "{text}");
    }
    for text in ["arn:aws:iam::210987654321:role/web-role", "web-role-2", "web", "role"] {
        assert_eq!(ruling(&with(role(text)), "web"), Ruling::Unused, "{text}");
    }
}

#[test]
fn placeholders_make_a_doubt_of_what_fits() {
    let arn = |rest: &str| format!("arn:aws:iam::{ACCOUNT}:instance-profile/{rest}");
    for text in [
        "${Profile}".to_owned(),
        "{{ profile }}".into(),
        "<profile>".into(),
        "{\"Ref\": \"Profile\"}".into(),
        "{Ref}".into(),
        "!Ref Profile".into(),
        "{{resolve:ssm:/profile}}".into(),
        "resolve:ssm:/profile".into(),
        "$PROFILE".into(),
        "%PROFILE%".into(),
        "w${Letters}b-prod".into(),
        "web-${AWS::StackName}".into(),
        "WEB-{{env}}".into(),
        "web-<env>".into(),
        "web-$ENV".into(),
        "web-%ENV%".into(),
        "${a}-${b}".into(),
        "${Prefix}prod".into(),
        "web-@{env}".into(),
        "web-#{env}".into(),
        "web-*".into(),
        "web-${unfinished".into(),
        "web-${a{b}c}".into(),
        "web-prod${Suffix}".into(),
        arn("${Profile}"),
        arn("ec2/web-${Env}"),
        arn("other/web-${Env}"),
        arn("${Path}web-prod"),
        "arn:aws:iam::${AWS::AccountId}:instance-profile/web-prod".into(),
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:instance-profile/web-${Env}".into(),
        "arn:${Rest}".into(),
        "${Arn}/web-prod".into(),
        "${ArnPrefix}:instance-profile/ec2/web-prod".into(),
        "instance-profile/web-${Env}".into(),
    ] {
        let v = verdict(&with(profile(text.as_str())), "web-prod");
        assert_eq!((v.ruling, v.references.len()), (Ruling::Unknown, 0), "{text}");
        assert_eq!((v.doubts[0].by, &*v.doubts[0].text), (By::Pattern, text.as_str()));
    }
    for text in [
        "web-${Env}-2".to_owned(),
        "x${Any}".into(),
        "my-{{name}}".into(),
        "web-prod-<n>".into(),
        "${a}web-prod-".into(),
        arn("web-${Env}-2"),
        "arn:aws:iam::210987654321:instance-profile/web-${Env}".into(),
        "arn:aws-cn:iam::${Account}:instance-profile/web-${Env}".into(),
        "arn:aws:s3::${Account}:instance-profile/web-${Env}".into(),
    ] {
        assert_eq!(ruling(&with(profile(text.as_str())), "web-prod"), Ruling::Unused, "{text}");
    }
}

#[test]
fn placeholders_for_a_role_make_a_doubt_of_profiles_that_hold_one_that_fits() {
    for text in ["${NodeRole}", "web-${x}", "arn:aws:iam::${Account}:role/eks/web-ro${le}"] {
        let scan = with(role(text));
        assert_eq!(ruling(&scan, "web"), Ruling::Unknown, "{text}");
        let mut empty = subject("web");
        empty.roles.clear();
        assert_eq!(judge(&scan, &empty, &rested(&empty)).ruling, Ruling::Unused, "{text}");
    }
    for text in ["web${x}-2", "arn:aws:iam::210987654321:role/${x}"] {
        assert_eq!(ruling(&with(role(text)), "web"), Ruling::Unused, "{text}");
    }
}

#[test]
fn a_text_that_is_none_of_awss_is_a_doubt_where_it_has_the_name_in_it() {
    for text in [
        format!("arn:aws:iam::{ACCOUNT}:role/web"),
        format!("arn:aws:iam::{ACCOUNT}:role/web-role"),
        "arn:aws:iam:::instance-profile/web".into(),
        "ARN:aws:iam::1:instance-profile/web".into(),
        "instance-profile/web".into(),
        " web".into(),
        "\"web\"".into(),
        "db;web".into(),
    ] {
        let v = verdict(&with(profile(text.as_str())), "web");
        assert_eq!((v.ruling, v.doubts.len()), (Ruling::Unknown, 1), "{text}");
        assert_eq!(ruling(&with(profile(text.as_str())), "web-2"), Ruling::Unused, "{text}");
    }
    for text in ["my-web web-2", "arn:aws:iam:::instance-profile/web-2", "/", "wéb"] {
        assert_eq!(ruling(&with(profile(text)), "web"), Ruling::Unused, "{text}");
    }
}
