#!/usr/bin/env python3
"""Drives `iamlua account serve` with boto3 and the AWS CLI: every operation, AWS's shapes, AWS's errors.

    cargo build && python3 tests/clients/boto3_check.py target/debug/iamlua

Needs boto3 (and checks the AWS CLI too where it is installed). Not part of `cargo test`, which needs nothing but Rust.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

S3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def clients(url, **keys):
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"} | keys
    config = Config(retries={"max_attempts": 0})
    make = lambda name: boto3.client(name, region_name="us-east-1", endpoint_url=url, config=config, **keys)
    return make("iam"), make("sts")


def refused(status, code, message, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]
        seen = (error.response["ResponseMetadata"]["HTTPStatusCode"], got["Code"], got["Message"], got["Type"])
        assert seen == (status, code, message, "Sender"), seen
    else:
        raise AssertionError(f"{call.__name__} {arguments} succeeded")


def check(url):
    iam, sts = clients(url)
    called = set()
    iam.meta.events.register("before-call.*.*", lambda model, **_: called.add(model.name))
    sts.meta.events.register("before-call.*.*", lambda model, **_: called.add(model.name))

    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/local-operator"
    role = iam.create_role(RoleName="r", Path="/app/", AssumeRolePolicyDocument=TRUST, Description="a <b> & c")["Role"]
    assert "Description" not in role and "MaxSessionDuration" not in role and role["RoleId"].startswith("AROA")
    role = iam.get_role(RoleName="r")["Role"]
    assert role["Description"] == "a <b> & c" and role["MaxSessionDuration"] == 3600 and role["RoleLastUsed"] == {}
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST) and "Tags" not in role

    profile = iam.create_instance_profile(InstanceProfileName="p", Path="/ec2/")["InstanceProfile"]
    assert "Tags" not in profile and profile["Roles"] == [] and len(profile["InstanceProfileId"]) == 21
    assert iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Tags"] == []
    refused(409, "EntityAlreadyExists", "Instance Profile P already exists.", iam.create_instance_profile, InstanceProfileName="P")
    refused(404, "NoSuchEntity", "Instance Profile x cannot be found.", iam.get_instance_profile, InstanceProfileName="x")
    refused(404, "NoSuchEntity", "The role with name x cannot be found.", iam.get_role, RoleName="x")

    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    inner = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Roles"][0]
    assert sorted(inner) == ["Arn", "AssumeRolePolicyDocument", "CreateDate", "Path", "RoleId", "RoleName"], sorted(inner)
    refused(
        409, "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        iam.add_role_to_instance_profile, InstanceProfileName="p", RoleName="r",
    )
    conflict = "Cannot delete entity, must remove roles from instance profile first."
    refused(409, "DeleteConflict", conflict, iam.delete_instance_profile, InstanceProfileName="p")
    refused(409, "DeleteConflict", conflict, iam.delete_role, RoleName="r")
    assert len(iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"]) == 1

    iam.tag_instance_profile(InstanceProfileName="p", Tags=[{"Key": "A", "Value": "1"}, {"Key": "a", "Value": ""}])
    iam.tag_instance_profile(InstanceProfileName="p", Tags=[])
    assert len(iam.list_instance_profile_tags(InstanceProfileName="p")["Tags"]) == 2
    iam.untag_instance_profile(InstanceProfileName="p", TagKeys=["a", "not there"])
    assert iam.list_instance_profile_tags(InstanceProfileName="p")["Tags"] == [{"Key": "A", "Value": "1"}]
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    refused(
        400, "ValidationError",
        "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50",
        iam.tag_instance_profile, InstanceProfileName="p", Tags=tags,
    )
    refused(
        409, "LimitExceeded", "The number of tags has reached the maximum limit.",
        iam.tag_instance_profile, InstanceProfileName="p", Tags=tags[:50],
    )
    twice = [{"Key": "A", "Value": "1"}, {"Key": "A", "Value": "2"}]
    refused(400, "InvalidInput", "Duplicate tag keys found.", iam.tag_instance_profile, InstanceProfileName="p", Tags=twice)

    iam.tag_role(RoleName="r", Tags=[{"Key": "Dept", "Value": "1"}])
    iam.tag_role(RoleName="r", Tags=[{"Key": "dept", "Value": "2"}])
    assert iam.list_role_tags(RoleName="r")["Tags"] == [{"Key": "dept", "Value": "2"}]
    iam.untag_role(RoleName="r", TagKeys=["DEPT"])
    assert "Tags" not in iam.get_role(RoleName="r")["Role"]
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=TRUST)
    refused(
        400, "MalformedPolicyDocument", "This policy contains invalid Json",
        iam.update_assume_role_policy, RoleName="r", PolicyDocument="{",
    )

    iam.attach_role_policy(RoleName="r", PolicyArn=S3)
    iam.attach_role_policy(RoleName="r", PolicyArn=S3)
    assert [p["PolicyName"] for p in iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]] == ["AmazonS3ReadOnlyAccess"]
    absent = "arn:aws:iam::aws:policy/NoSuchPolicyAnywhere"
    refused(
        404, "NoSuchEntity", f"Policy {absent} does not exist or is not attachable.",
        iam.attach_role_policy, RoleName="r", PolicyArn=absent,
    )

    whole = [p["InstanceProfileName"] for p in iam.list_instance_profiles(MaxItems=1000)["InstanceProfiles"]]
    pages = iam.get_paginator("list_instance_profiles").paginate(PaginationConfig={"PageSize": 5})
    assert [p["InstanceProfileName"] for page in pages for p in page["InstanceProfiles"]] == whole and len(whole) == 25
    assert all("Tags" not in p for p in iam.list_instance_profiles()["InstanceProfiles"])
    refused(400, "ValidationError", "Invalid Marker.", iam.list_instance_profiles, Marker="elsewhere")
    assert all("RoleLastUsed" not in r and "Tags" not in r for r in iam.list_roles()["Roles"])
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="p")
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["InstanceProfiles"] == 25 and summary["InstanceProfilesQuota"] == 1000
    assert len(iam.list_account_aliases()["AccountAliases"]) == 1

    iam.update_assume_role_policy(
        RoleName="r",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
                ],
            }
        ),
    )
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="check")["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA") and len(given["SecretAccessKey"]) == 40
    _, other = clients(
        url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    assert other.get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/r/check"
    foreign = "arn:aws:iam::999999999999:role/r"
    refused(
        403, "AccessDenied",
        f"User: arn:aws:iam::123456789012:user/local-operator is not authorized to perform: sts:AssumeRole on resource: {foreign}",
        sts.assume_role, RoleArn=foreign, RoleSessionName="check",
    )

    iam.detach_role_policy(RoleName="r", PolicyArn=S3)
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    refused(
        404, "NoSuchEntity", "Role r in Instance Profile p cannot be found.",
        iam.remove_role_from_instance_profile, InstanceProfileName="p", RoleName="r",
    )
    iam.delete_instance_profile(InstanceProfileName="p")
    iam.delete_role(RoleName="r")
    return called


def check_policies(url):
    """Inline and managed policies, as boto3 parses them: documents come back as objects."""
    iam, _ = clients(url)
    read = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    text = json.dumps(read)
    iam.create_role(RoleName="worker-of-policies", AssumeRolePolicyDocument=TRUST)
    role = {"RoleName": "worker-of-policies"}
    inline = role | {"PolicyName": "inline"}
    iam.put_role_policy(PolicyDocument=text, **inline)
    assert iam.get_role_policy(**inline)["PolicyDocument"] == read
    assert iam.list_role_policies(**role)["PolicyNames"] == ["inline"]
    refused(409, "DeleteConflict", "Cannot delete entity, must delete policies first.", iam.delete_role, **role)

    policy = iam.create_policy(PolicyName="check", Path="/check/", PolicyDocument=text, Tags=[{"Key": "A", "Value": ""}])["Policy"]
    arn = policy["Arn"]
    assert policy["DefaultVersionId"] == "v1" and policy["AttachmentCount"] == 0 and policy["IsAttachable"] is True
    assert policy["CreateDate"].tzinfo is not None and policy["PolicyId"].startswith("ANPA")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == read
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    iam.attach_role_policy(PolicyArn=arn, **role)
    iam.get_waiter("policy_exists").wait(PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert [r["RoleName"] for r in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]] == ["worker-of-policies"]
    pages = iam.get_paginator("list_policies").paginate()
    names = [p["PolicyName"] for page in pages for p in page["Policies"]]
    assert len(names) == len(set(names)) > 1500 and {"check", "AdministratorAccess", "AWSDenyAll"} <= set(names)
    attached = [p["Arn"] for p in iam.list_policies(OnlyAttached=True, Scope="Local")["Policies"]]
    assert arn in attached, attached
    refused(409, "DeleteConflict", "Cannot delete a policy attached to entities.", iam.delete_policy, PolicyArn=arn)
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "B", "Value": "1"}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["A"])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "B", "Value": "1"}]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.detach_role_policy(PolicyArn=arn, **role)
    iam.delete_policy(PolicyArn=arn)
    gone = f"Policy {arn} does not exist or is not attachable."
    refused(404, "NoSuchEntity", gone, iam.get_policy, PolicyArn=arn)
    iam.delete_role_policy(**inline)
    iam.delete_role(**role)
    assert iam.get_user()["User"]["UserName"] == "local-operator"
    refused(400, "InvalidAction", "Could not find operation CreateUser for version 2010-05-08", iam.create_user, UserName="x")


def check_cli(url):
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    aws = lambda *args: subprocess.run(
        ["aws", "--endpoint-url", url, "--output", "json", "iam", *args],
        env=os.environ | keys, check=True, capture_output=True, text=True,
    ).stdout
    aws("create-instance-profile", "--instance-profile-name", "cli", "--tags", "Key=Owner,Value=ops")
    read = json.loads(aws("get-instance-profile", "--instance-profile-name", "cli"))["InstanceProfile"]
    assert read["Tags"] == [{"Key": "Owner", "Value": "ops"}], read
    assert len(json.loads(aws("list-instance-profiles", "--page-size", "7"))["InstanceProfiles"]) == 25
    aws("delete-instance-profile", "--instance-profile-name", "cli")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as home:
        serve = subprocess.Popen(
            [program, "account", "serve", "--port", "0"],
            env=os.environ | {"IAMLUA_HOME": home}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            url = serve.stdout.readline().strip()
            called = check(url)
            check_policies(url)
            print(f"boto3 {boto3.__version__}: {len(called)} operations")
            if shutil.which("aws"):
                check_cli(url)
                print("AWS CLI: fine")
        finally:
            serve.terminate()
            serve.wait()


if __name__ == "__main__":
    main()
