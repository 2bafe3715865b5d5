#!/usr/bin/env python3
"""Reads the resources of `iamlua account serve` back with boto3: every kind, in three regions, over many pages.

    cargo build && python3 tests/clients/usage_shapes_check.py target/debug/iamlua

An account file with some hundreds of resources of each kind is imported and served. For every action boto3's own paginators must bring
back all of them and nothing else; every member must be of the type that the service's model says; refusals must be parsed to
the right codes. Where moto is installed and has the same call, the members that it sends are compared with ours.

Needs boto3. Not part of `cargo test`, which needs nothing but Rust.
"""

import datetime
import json
import os
import subprocess
import sys
import tempfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

ACCOUNT = "123456789012"
REGIONS = ["eu-central-1", "us-east-1", "af-south-1"]
MANY = 230
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def arn(name, path="/"):
    return f"arn:aws:iam::{ACCOUNT}:instance-profile{path}{name}"


def fixture():
    """The account file, and what every action must give: {region: {action: list of what was read}}."""
    profiles = [{"name": f"p{n:03}", "path": "/team/" if n % 2 else "/"} for n in range(40)]
    given = lambda n: [f"p{n % 40:03}", arn(f"p{n % 40:03}"), "arn:aws:iam::999999999999:instance-profile/elsewhere"][n % 3]
    resources = []

    def resolved(profile):
        if profile.startswith("arn:"):
            return profile
        return arn(profile, "/team/" if int(profile[1:]) % 2 else "/")

    wanted = {}
    for region in REGIONS:
        seen = wanted[region] = {}
        put = lambda kind, **fields: resources.append({"kind": kind, "region": region, **fields})
        note = lambda action, what: seen.setdefault(action, []).append(what)
        for n in range(1300):
            state = ["running", "stopped", "pending", "terminated"][n % 4]
            entry = {"id": f"i-{n:017x}", "state": state}
            if n % 5:
                entry["profile"] = given(n)
            put("ec2.instance", **entry)
            note("instances", (entry["id"], state, resolved(given(n)) if n % 5 else None))
        for n in range(MANY):
            profile = given(n)
            put("ec2.association", id=f"iip-assoc-{n:017x}", instance_id=f"i-{n:017x}", profile=profile)
            note("associations", (f"iip-assoc-{n:017x}", f"i-{n:017x}", "associated", resolved(profile)))
            versions = [{"profile": given(n + v)} if (n + v) % 4 else {} for v in range(1 + (450 if n == 7 else n % 3))]
            put("ec2.launch_template", id=f"lt-{n:017x}", name=f"template-{n}", versions=versions)
            note("templates", (f"lt-{n:017x}", f"template-{n}", 1, len(versions)))
            for v, version in enumerate(versions, 1):
                note("versions", (f"lt-{n:017x}", v, version.get("profile")))
            note("latest", (f"lt-{n:017x}", len(versions), versions[-1].get("profile")))
            if len(versions) > 1:
                note("latest", (f"lt-{n:017x}", 1, versions[0].get("profile")))
            fleet = [given(n + k) for k in range(n % 4)]
            put("ec2.spot_fleet", id=f"sfr-{n:032x}", state="cancelled" if n % 7 == 0 else "active", profiles=fleet)
            note("fleets", (f"sfr-{n:032x}", "cancelled" if n % 7 == 0 else "active", tuple(fleet)))
            put("ec2.spot_request", id=f"sir-{n:08x}", state=["open", "active", "closed"][n % 3], profile=profile)
            note("requests", (f"sir-{n:08x}", ["open", "active", "closed"][n % 3], profile))
            put("autoscaling.launch_configuration", name=f"config {n} <&>", profile=profile)
            note("configurations", (f"config {n} <&>", profile))
            put("batch.compute_environment", name=f"batch-{n}", status="INVALID" if n % 9 == 0 else "VALID", profile=profile)
            note("environments", (f"batch-{n}", "INVALID" if n % 9 == 0 else "VALID", profile))
            put("ecs.capacity_provider", name=f"provider-{n}", cluster=f"cluster-{n % 120}", profile=profile)
            note("providers", (f"cluster-{n % 120}", f"provider-{n}", "ACTIVE", resolved(profile)))
            put("imagebuilder.infrastructure_configuration", name=f"Image_{n}", profile=f"p{n % 40:03}")
            note("images", (f"Image_{n}", f"p{n % 40:03}"))
            state = ["RUNNING", "WAITING", "TERMINATED"][n % 3]
            put("emr.cluster", id=f"j-{n:013X}", name="nightly", state=state, profile=f"p{n % 40:03}")
            note("emr", (f"j-{n:013X}", "nightly", state, f"p{n % 40:03}"))
            put("elasticbeanstalk.environment", id=f"e-{n:010x}", name=f"shop-{n}", application=f"shop{n % 3}", profile=profile)
            note("beanstalk", (f"e-{n:010x}", f"shop-{n}", f"shop{n % 3}", "Ready", profile))
            put("eks.node_group", name=f"group-{n}", cluster=f"kube-{n % 2}", role="nodes", launch_template=f"lt-{n:017x}")
            note("groups", (f"kube-{n % 2}", f"group-{n}", "ACTIVE", f"arn:aws:iam::{ACCOUNT}:role/k8s/nodes", f"template-{n}"))
            own = {"profile": f"p{n % 40:03}"} if n % 2 else {}
            put("rds.instance", id=f"db-{n}", **own)
            note("databases", (f"db-{n}", "available", own.get("profile")))
    account = {
        "format": "iamlua-account",
        "version": 1,
        "account": {"id": ACCOUNT},
        "roles": [{"name": "nodes", "path": "/k8s/", "assume_role_policy": TRUST}],
        "profiles": profiles,
        "regions": {
            "eu-central-1": "opt-in-not-required",
            "us-east-1": "opt-in-not-required",
            "af-south-1": "opted-in",
            "me-south-1": "not-opted-in",
        },
        "resources": resources,
    }
    return account, wanted


def check_types(shape, value, place):
    """Holds an answer to the service's model: boto3 passes on what it cannot make sense of."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), (place, value)
        for name, inner in value.items():
            if name != "ResponseMetadata":
                assert name in shape.members, f"{place}: {name} is not in the model"
                check_types(shape.members[name], inner, f"{place}.{name}")
        for name in shape.required_members:
            assert name in value, f"{place}: {name} is missing"
    elif kind == "list":
        assert isinstance(value, list), (place, value)
        for inner in value:
            check_types(shape.member, inner, f"{place}[]")
    elif kind == "map":
        assert isinstance(value, dict), (place, value)
    else:
        types = {
            "string": str, "boolean": bool, "integer": int, "long": int, "double": float, "float": float,
            "timestamp": datetime.datetime, "blob": bytes,
        }
        assert isinstance(value, types[kind]), (place, kind, value)
        if kind == "string" and shape.enum:
            assert value in shape.enum, f"{place}: {value} is none of {shape.enum}"


class Clients:
    def __init__(self, url, region):
        self.url, self.region, self.made, self.pages = url, region, {}, {}

    def __getitem__(self, service):
        if service not in self.made:
            self.made[service] = boto3.client(
                service, region_name=self.region, endpoint_url=self.url, aws_access_key_id="any", aws_secret_access_key="any",
                config=Config(retries={"max_attempts": 0}),
            )
            self.made[service].meta.events.register("after-call.*.*", self.held)
        return self.made[service]

    def held(self, model, parsed, **_):
        self.pages[model.name] = self.pages.get(model.name, 0) + 1
        if parsed["ResponseMetadata"]["HTTPStatusCode"] == 200:
            assert parsed["ResponseMetadata"]["RequestId"], model.name
            check_types(model.output_shape, parsed, model.name)

    def each(self, service, action, member, size=None, **arguments):
        config = {"PageSize": size} if size else {}
        for page in self[service].get_paginator(action).paginate(PaginationConfig=config, **arguments):
            yield from page[member]


def read(clients):
    """Everything in one region, as `fixture` notes it."""
    each, got = clients.each, {}
    profile = lambda entry: (entry or {}).get("Arn") or (entry or {}).get("Name")
    for size in [None, 250, 1000]:
        got["instances"] = [
            (i["InstanceId"], i["State"]["Name"], profile(i.get("IamInstanceProfile")))
            for r in each("ec2", "describe_instances", "Reservations", size) for i in r["Instances"]
        ]
    running = each("ec2", "describe_instances", "Reservations", 300, Filters=[{"Name": "instance-state-name", "Values": ["run*", "pending"]}])
    running = [i["InstanceId"] for r in running for i in r["Instances"]]
    assert sorted(running) == sorted(i for i, state, _ in got["instances"] if state in ("running", "pending"))
    got["associations"] = [
        (a["AssociationId"], a["InstanceId"], a["State"], a["IamInstanceProfile"]["Arn"])
        for a in each("ec2", "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations", 100)
    ]
    got["templates"] = [
        (t["LaunchTemplateId"], t["LaunchTemplateName"], t["DefaultVersionNumber"], t["LatestVersionNumber"])
        for t in each("ec2", "describe_launch_templates", "LaunchTemplates", 100)
    ]
    version = lambda v: (v["LaunchTemplateId"], v["VersionNumber"], profile(v["LaunchTemplateData"].get("IamInstanceProfile")))
    versions = "describe_launch_template_versions", "LaunchTemplateVersions"
    got["versions"] = [version(v) for t in got["templates"] for v in each("ec2", *versions, LaunchTemplateId=t[0])]
    for size in [1, 77, 200]:
        got["latest"] = [version(v) for v in each("ec2", *versions, size, Versions=["$Latest", "$Default"])]
    got["fleets"] = [
        (f["SpotFleetRequestId"], f["SpotFleetRequestState"],
         tuple(profile(s["IamInstanceProfile"]) for s in f["SpotFleetRequestConfig"]["LaunchSpecifications"]))
        for f in each("ec2", "describe_spot_fleet_requests", "SpotFleetRequestConfigs", 100)
    ]
    got["requests"] = [
        (r["SpotInstanceRequestId"], r["State"], profile(r["LaunchSpecification"]["IamInstanceProfile"]))
        for r in each("ec2", "describe_spot_instance_requests", "SpotInstanceRequests", 100)
    ]
    got["configurations"] = [
        (c["LaunchConfigurationName"], c["IamInstanceProfile"])
        for c in each("autoscaling", "describe_launch_configurations", "LaunchConfigurations")
    ]
    got["environments"] = [
        (e["computeEnvironmentName"], e["status"], e["computeResources"]["instanceRole"])
        for e in each("batch", "describe_compute_environments", "computeEnvironments")
    ]
    name = lambda text: text.rsplit("/", 1)[-1]
    got["providers"] = []
    for cluster in each("ecs", "list_clusters", "clusterArns"):
        token = {}
        while True:
            page = clients["ecs"].describe_capacity_providers(cluster=cluster, **token)
            got["providers"] += [
                (name(p["cluster"]), p["name"], p["status"],
                 p["managedInstancesProvider"]["instanceLaunchTemplate"]["ec2InstanceProfileArn"])
                for p in page["capacityProviders"]
            ]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
    assert {p["name"] for p in clients["ecs"].describe_capacity_providers()["capacityProviders"]} == {"FARGATE", "FARGATE_SPOT"}
    got["images"] = [
        (c["name"], c["instanceProfileName"])
        for c in each("imagebuilder", "list_infrastructure_configurations", "infrastructureConfigurationSummaryList")
    ]
    described = lambda cluster: clients["emr"].describe_cluster(ClusterId=cluster["Id"])["Cluster"]
    got["emr"] = [
        (c["Id"], c["Name"], c["Status"]["State"], c["Ec2InstanceAttributes"]["IamInstanceProfile"])
        for c in map(described, each("emr", "list_clusters", "Clusters"))
    ]
    alive = [c["Id"] for c in each("emr", "list_clusters", "Clusters", ClusterStates=["RUNNING", "WAITING"])]
    assert sorted(alive) == sorted(c[0] for c in got["emr"] if c[2] != "TERMINATED")
    got["beanstalk"] = []
    for e in each("elasticbeanstalk", "describe_environments", "Environments", 60):
        settings = clients["elasticbeanstalk"].describe_configuration_settings(
            ApplicationName=e["ApplicationName"], EnvironmentName=e["EnvironmentName"]
        )["ConfigurationSettings"][0]["OptionSettings"]
        own = [s["Value"] for s in settings
               if (s["Namespace"], s["OptionName"]) == ("aws:autoscaling:launchconfiguration", "IamInstanceProfile")]
        got["beanstalk"].append((e["EnvironmentId"], e["EnvironmentName"], e["ApplicationName"], e["Status"], *own))
    got["groups"] = []
    for cluster in each("eks", "list_clusters", "clusters", 1):
        for group in each("eks", "list_nodegroups", "nodegroups", 50, clusterName=cluster):
            g = clients["eks"].describe_nodegroup(clusterName=cluster, nodegroupName=group)["nodegroup"]
            got["groups"].append((g["clusterName"], g["nodegroupName"], g["status"], g["nodeRole"], g["launchTemplate"]["name"]))
    got["databases"] = [
        (d["DBInstanceIdentifier"], d["DBInstanceStatus"], d.get("CustomIamInstanceProfile"))
        for d in each("rds", "describe_db_instances", "DBInstances", 50)
    ]
    return got


# What boto3 makes of a refusal: service, call, arguments, code of a denied call, of one that fails, of one that is throttled.
CALLS = [
    ("ec2", "describe_regions", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_instances", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_iam_instance_profile_associations", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_launch_templates", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_launch_template_versions", {"Versions": ["$Latest"]}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_spot_fleet_requests", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("ec2", "describe_spot_instance_requests", {}, "UnauthorizedOperation", "InternalError", "RequestLimitExceeded"),
    ("autoscaling", "describe_launch_configurations", {}, "AccessDenied", "InternalFailure", "Throttling"),
    ("batch", "describe_compute_environments", {}, "AccessDeniedException", "ServerException", "TooManyRequestsException"),
    ("ecs", "list_clusters", {}, "AccessDeniedException", "ServerException", "ThrottlingException"),
    ("ecs", "describe_capacity_providers", {}, "AccessDeniedException", "ServerException", "ThrottlingException"),
    ("imagebuilder", "list_infrastructure_configurations", {}, "AccessDeniedException", "ServiceException", "CallRateLimitExceededException"),
    ("emr", "list_clusters", {}, "AccessDeniedException", "InternalServerException", "ThrottlingException"),
    ("emr", "describe_cluster", {"ClusterId": "j-0000000000001"}, "AccessDeniedException", "InternalServerException", "ThrottlingException"),
    ("elasticbeanstalk", "describe_environments", {}, "AccessDenied", "InternalFailure", "Throttling"),
    ("elasticbeanstalk", "describe_configuration_settings", {"ApplicationName": "shop1", "EnvironmentName": "shop-1"},
     "AccessDenied", "InternalFailure", "Throttling"),
    ("eks", "list_clusters", {}, "AccessDeniedException", "ServerException", "ThrottlingException"),
    ("eks", "list_nodegroups", {"clusterName": "kube-0"}, "AccessDeniedException", "ServerException", "ThrottlingException"),
    ("eks", "describe_nodegroup", {"clusterName": "kube-0", "nodegroupName": "group-0"},
     "AccessDeniedException", "ServerException", "ThrottlingException"),
    ("rds", "describe_db_instances", {}, "AccessDenied", "InternalFailure", "Throttling"),
]

# Refusals that the services have of their own.
REFUSALS = [
    ("ec2", "describe_instances", {"MaxResults": 4}, 400, "InvalidParameterValue"),
    ("ec2", "describe_instances", {"MaxResults": 1001}, 400, "InvalidParameterValue"),
    ("ec2", "describe_instances", {"NextToken": "elsewhere"}, 400, "InvalidNextToken"),
    ("ec2", "describe_instances", {"InstanceIds": ["i-0123456789abcdef0"]}, 400, "InvalidInstanceID.NotFound"),
    ("ec2", "describe_instances", {"InstanceIds": ["i-00000000000000001"], "MaxResults": 5}, 400, "InvalidParameterCombination"),
    ("ec2", "describe_instances", {"Filters": [{"Name": "no-such-filter", "Values": ["x"]}]}, 400, "InvalidParameterValue"),
    ("ec2", "describe_instances", {"DryRun": True}, 412, "DryRunOperation"),
    ("ec2", "describe_launch_template_versions", {"LaunchTemplateId": "lt-none"}, 400, "InvalidLaunchTemplateId.NotFound"),
    ("ec2", "describe_launch_template_versions", {"LaunchTemplateName": "none"}, 400, "InvalidLaunchTemplateName.NotFoundException"),
    ("ec2", "describe_launch_template_versions", {"LaunchTemplateName": "template-1", "MaxResults": 201}, 400, "InvalidParameterValue"),
    ("ec2", "describe_launch_template_versions", {}, 400, "MissingParameter"),
    ("autoscaling", "describe_launch_configurations", {"NextToken": "elsewhere"}, 400, "InvalidNextToken"),
    ("autoscaling", "describe_launch_configurations", {"MaxRecords": 101}, 400, "ValidationError"),
    ("batch", "describe_compute_environments", {"nextToken": "elsewhere"}, 400, "ClientException"),
    ("ecs", "list_clusters", {"nextToken": "elsewhere"}, 400, "InvalidParameterException"),
    ("ecs", "describe_capacity_providers", {"cluster": "none"}, 400, "ClusterNotFoundException"),
    ("ecs", "describe_capacity_providers", {"maxResults": 11}, 400, "InvalidParameterException"),
    ("imagebuilder", "list_infrastructure_configurations", {"nextToken": "elsewhere"}, 400, "InvalidPaginationTokenException"),
    ("emr", "list_clusters", {"Marker": "elsewhere"}, 400, "InvalidRequestException"),
    ("emr", "describe_cluster", {"ClusterId": "j-NONE"}, 400, "InvalidRequestException"),
    ("elasticbeanstalk", "describe_configuration_settings", {"ApplicationName": "shop1", "EnvironmentName": "none"}, 400, "InvalidParameterValue"),
    ("eks", "list_nodegroups", {"clusterName": "none"}, 404, "ResourceNotFoundException"),
    ("eks", "describe_nodegroup", {"clusterName": "kube-0", "nodegroupName": "none"}, 404, "ResourceNotFoundException"),
    ("eks", "list_clusters", {"nextToken": "elsewhere"}, 400, "InvalidParameterException"),
    ("rds", "describe_db_instances", {"MaxRecords": 19}, 400, "InvalidParameterValue"),
    ("rds", "describe_db_instances", {"Marker": "elsewhere"}, 400, "InvalidParameterValue"),
    ("rds", "describe_db_instances", {"DBInstanceIdentifier": "none"}, 404, "DBInstanceNotFound"),
]


def refused(call, arguments, wanted):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == wanted, (call.__name__, arguments, error.response)
        assert error.response["Error"]["Message"], (call.__name__, error.response)
        assert error.response["ResponseMetadata"]["RequestId"], (call.__name__, error.response)
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"{call.__name__} {arguments} was not refused")


class Served:
    """The program, serving the account in `home`."""

    def __init__(self, program, home, *options):
        self.server = subprocess.Popen(
            [program, "account", "serve", "--port", "0", *options],
            env=os.environ | {"IAMLUA_HOME": home}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )

    def __enter__(self):
        return self.server.stdout.readline().strip()

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()


def check_everything(url, wanted):
    for region in REGIONS:
        clients = Clients(url, region)
        got = read(clients)
        assert got.keys() == wanted[region].keys(), got.keys() ^ wanted[region].keys()
        order = lambda entry: tuple(str(part) for part in entry)
        for what, entries in wanted[region].items():
            assert sorted(got[what], key=order) == sorted(entries, key=order), f"{region}: {what}"
        total = sum(len(entries) for entries in got.values())
        print(f"{region}: {total} entries in {sum(clients.pages.values())} answers to {len(clients.pages)} operations")
    ec2 = Clients(url, "us-east-1")["ec2"]
    enabled = {r["RegionName"] for r in ec2.describe_regions()["Regions"]}
    assert enabled == set(REGIONS), enabled
    every = {r["RegionName"]: r["OptInStatus"] for r in ec2.describe_regions(AllRegions=True)["Regions"]}
    assert every["me-south-1"] == "not-opted-in" and every["af-south-1"] == "opted-in", every


def check_refusals(url):
    clients = Clients(url, "eu-central-1")
    for service, call, arguments, status, code in REFUSALS:
        got = refused(getattr(clients[service], call), arguments, code)
        assert got == status, (service, call, got)
    # A token of another region or action is none.
    token = clients["ecs"].list_clusters(maxResults=5)["nextToken"]
    refused(Clients(url, "us-east-1")["ecs"].list_clusters, {"nextToken": token}, "InvalidParameterException")
    refused(clients["eks"].list_clusters, {"nextToken": token}, "InvalidParameterException")
    # A region that is not enabled knows nobody.
    clients = Clients(url, "me-south-1")
    codes = {"ec2": "AuthFailure", "autoscaling": "InvalidClientTokenId", "elasticbeanstalk": "InvalidClientTokenId", "rds": "InvalidClientTokenId"}
    for service, call, arguments, *_ in CALLS:
        refused(getattr(clients[service], call), arguments, codes.get(service, "UnrecognizedClientException"))
    print(f"{len(REFUSALS) + len(CALLS) + 2} refusals are what boto3 expects")


def check_faults(program, home):
    for at, fault in [(3, "deny"), (4, "fail"), (5, "choke")]:
        with Served(program, home, "--faults", f"{fault}=*@us-east-1") as url:
            clients, others = Clients(url, "us-east-1"), Clients(url, "eu-central-1")
            for case in CALLS:
                service, call, arguments = case[:3]
                refused(getattr(clients[service], call), arguments, case[at])
                getattr(others[service], call)(**arguments)
    with Served(program, home, "--faults", "cut=*@us-east-1") as url:
        clients = Clients(url, "us-east-1")
        for service, call, arguments, *_ in CALLS:
            try:
                got = getattr(clients[service], call)(**arguments)
            except ClientError as error:
                raise AssertionError(f"{call}: {error}") from error
            except (ResponseParserError, HTTPClientError):
                # boto3 does not compare with Content-Length: half of an XML document is one that it cannot read.
                continue
            # And half of a JSON document is to it an answer with nothing in it.
            assert got.keys() == {"ResponseMetadata"}, f"{call} came whole"
    print(f"denied, failing, throttled and cut: {4 * len(CALLS)} calls")


def members(value, place=""):
    """The places of all members in an answer."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{place}.{name}"
            yield from members(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner, f"{place}[]")


def check_against_moto(url):
    """What members moto sends for a comparable resource, and ours do not have: for people to judge."""
    try:
        from moto import mock_aws
    except ImportError:
        print("moto is not installed: shapes are not compared")
        return
    ours = Clients(url, "us-east-1")
    shapes = {}
    calls = [
        ("ec2", "describe_regions", {}),
        ("ec2", "describe_instances", {}),
        ("ec2", "describe_iam_instance_profile_associations", {}),
        ("ec2", "describe_launch_templates", {}),
        ("ec2", "describe_launch_template_versions", {"Versions": ["$Latest"]}),
        ("ec2", "describe_spot_fleet_requests", {}),
        ("ec2", "describe_spot_instance_requests", {}),
        ("autoscaling", "describe_launch_configurations", {}),
        ("batch", "describe_compute_environments", {}),
        ("ecs", "list_clusters", {}),
        ("emr", "list_clusters", {}),
        ("elasticbeanstalk", "describe_environments", {}),
        ("eks", "describe_nodegroup", {"clusterName": "kube-0", "nodegroupName": "group-0"}),
        ("rds", "describe_db_instances", {}),
    ]
    with mock_aws():
        make = lambda service: boto3.client(service, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
        iam, ec2 = make("iam"), make("ec2")
        iam.create_instance_profile(InstanceProfileName="p")
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "p"})
        data = {"ImageId": image, "InstanceType": "m5.large", "IamInstanceProfile": {"Name": "p"}}
        ec2.create_launch_template(LaunchTemplateName="template", LaunchTemplateData=data)
        ec2.request_spot_instances(LaunchSpecification={"ImageId": image, "InstanceType": "m5.large", "IamInstanceProfile": {"Name": "p"}})
        make("autoscaling").create_launch_configuration(
            LaunchConfigurationName="c", ImageId=image, InstanceType="m5.large", IamInstanceProfile="p"
        )
        furnish(make, image)
        for service, call, arguments in calls:
            shapes[service, call] = set(members(getattr(make(service), call)(**arguments)))
    for service, call, arguments in calls:
        own = set(members(getattr(ours[service], call)(**arguments)))
        theirs = {place for place in shapes[service, call] if "ResponseMetadata" not in place}
        print(f"{call}: {len(theirs & own)} members as moto has them; moto alone has {', '.join(sorted(theirs - own)) or 'none'}")


def furnish(make, image):
    """One of each in moto, apart from what `check_against_moto` has made."""
    role = make("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    subnet = make("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    group = make("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
    make("ec2").request_spot_fleet(SpotFleetRequestConfig={
        "IamFleetRole": role, "TargetCapacity": 1, "SpotPrice": "1", "AllocationStrategy": "lowestPrice",
        "LaunchSpecifications": [{"ImageId": image, "InstanceType": "m5.large", "IamInstanceProfile": {"Arn": arn("p")}}],
    })
    make("batch").create_compute_environment(
        computeEnvironmentName="batch", type="MANAGED", serviceRole=role,
        computeResources={
            "type": "EC2", "minvCpus": 0, "maxvCpus": 4, "instanceTypes": ["m5.large"], "instanceRole": arn("p"),
            "subnets": [subnet], "securityGroupIds": [group],
        },
    )
    make("ecs").create_cluster(clusterName="c")
    make("emr").run_job_flow(
        Name="n", JobFlowRole="p", ServiceRole="r", ReleaseLabel="emr-6.0.0",
        Instances={"MasterInstanceType": "m5.large", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
    )
    make("elasticbeanstalk").create_application(ApplicationName="shop")
    make("elasticbeanstalk").create_environment(ApplicationName="shop", EnvironmentName="shop-1", SolutionStackName="64bit")
    make("eks").create_cluster(name="kube-0", roleArn=role, resourcesVpcConfig={"subnetIds": [subnet]})
    make("eks").create_nodegroup(clusterName="kube-0", nodegroupName="group-0", nodeRole=role, subnets=[subnet])
    make("rds").create_db_instance(
        DBInstanceIdentifier="d", DBInstanceClass="db.m5.large", Engine="postgres", MasterUsername="a", MasterUserPassword="aaaaaaaa"
    )


def main():
    program = sys.argv[1]
    account, wanted = fixture()
    with tempfile.TemporaryDirectory() as home:
        file = os.path.join(home, "account.json")
        with open(file, "w") as out:
            json.dump(account, out)
        command = lambda *args: subprocess.run(
            [program, "account", *args], env=os.environ | {"IAMLUA_HOME": home}, check=True, capture_output=True, text=True
        ).stdout
        command("import", file)
        # What goes out is the same account.
        exported = command("export")
        with open(file, "w") as out:
            out.write(exported)
        command("import", file)
        assert command("export") == exported
        with Served(program, home) as url:
            check_everything(url, wanted)
            check_refusals(url)
            check_against_moto(url)
        check_faults(program, home)


if __name__ == "__main__":
    main()
