#!/usr/bin/env python3
"""Lets `usage.scan` look for references that boto3 has made on moto, another emulator of AWS: all of them are found, and none is invented.

    cargo build && python3 tests/clients/usage_check.py target/debug/iamlua

Needs boto3 and moto[all,server]. Not part of `cargo test`, which needs nothing but Rust.

What moto does not have is added to it here, and said in the output: answers of these calls are written as Python values, and moto makes AWS's
wire shapes of them from botocore's models.
"""

import collections
import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import boto3
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.responses import EC2Response
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elasticbeanstalk.responses import EBResponse
from moto.emr.responses import ElasticMapReduceResponse
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.rds.responses import RDSResponse
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
REGIONS = ("us-east-1", "eu-central-1", "ap-southeast-2")
# Enough of them that some calls take more than one page.
TEMPLATE_VERSIONS = 230
INSTANCES = 1040
AMI = "ami-12c6146b"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)

SCRIPT = """
local scan = usage.scan {}
local out = { complete = scan.complete, gaps = json.array(scan:gaps()), verdicts = json.array() }
for profile in iam.profiles.each() do
  local verdict = scan:verdict(profile)
  table.insert(out.verdicts, {
    profile = verdict.profile, verdict = verdict.verdict, reason = verdict.reason, references = json.array(verdict.references),
  })
end
print(json.encode(out))
"""

# ---------------------------------------------------------------------------------------------- What moto does not have

# By region: names of Elastic Beanstalk environments, ECS capacity providers, RDS Custom instances and infrastructure configurations.
added = {kind: collections.defaultdict(list) for kind in ("beanstalk", "ecs", "imagebuilder")}
custom_databases, spot_profiles = {}, {}
requests = collections.Counter()


def describe_configuration_settings(self):
    application, environment = self._get_param("ApplicationName"), self._get_param("EnvironmentName")
    options = [
        # The value of an option of another namespace is not a profile, whatever its name.
        {"Namespace": "aws:elasticbeanstalk:application:environment", "OptionName": "IamInstanceProfile", "Value": "never-used"},
        {"Namespace": "aws:autoscaling:launchconfiguration", "OptionName": "InstanceType", "Value": "never-used"},
    ]
    for name, profile in added["beanstalk"][self.region]:
        if name == environment:
            options.append(
                {"Namespace": "aws:autoscaling:launchconfiguration", "OptionName": "IamInstanceProfile", "Value": profile}
            )
    settings = {"ApplicationName": application, "EnvironmentName": environment, "OptionSettings": options}
    return ActionResult({"ConfigurationSettings": [settings]})


def describe_capacity_providers(self):
    cluster = self._get_param("cluster")
    providers = [
        {
            "capacityProviderArn": f"arn:aws:ecs:{self.region}:{ACCOUNT}:capacity-provider/{name}",
            "name": name,
            "cluster": cluster,
            "status": "ACTIVE",
            "type": "MANAGED_INSTANCES",
            "managedInstancesProvider": {
                "infrastructureRoleArn": f"arn:aws:iam::{ACCOUNT}:role/infrastructure",
                "instanceLaunchTemplate": {"ec2InstanceProfileArn": profile},
            },
        }
        for name, profile in added["ecs"][self.region]
        # Only with a cluster does AWS show the providers of managed instances.
        if cluster and cluster.endswith("/main")
    ]
    return ActionResult({"capacityProviders": providers, "failures": []})


def describe_db_instances(self, original=RDSResponse.describe_db_instances):
    result = original(self)
    for database in result.result["DBInstances"]:
        profile = custom_databases.get(database.db_instance_identifier)
        if profile:
            database.custom_iam_instance_profile = profile
    return result


def describe_spot_instance_requests(self, original=EC2Response.describe_spot_instance_requests):
    result = original(self)
    for request in result.result["SpotInstanceRequests"]:
        if request.id in spot_profiles:
            request.launch_specification.iam_instance_profile = {"Arn": spot_profiles[request.id]}
    return result


def describe_launch_template_versions(self, original=EC2Response.describe_launch_template_versions):
    """Moto leaves out what is beyond `MaxResults`, and gives no token for it."""
    number = self._get_int_param
    size, at = number("MaxResults", 200), int(self._get_param("NextToken") or 0)
    self._get_int_param = lambda name, *default: sys.maxsize if name == "MaxResults" else number(name, *default)
    versions = original(self).result["LaunchTemplateVersions"]
    page = {"LaunchTemplateVersions": versions[at : at + size]}
    if at + size < len(versions):
        page["NextToken"] = str(at + size)
    return ActionResult(page)


EBResponse.describe_configuration_settings = describe_configuration_settings
EC2ContainerServiceResponse.describe_capacity_providers = describe_capacity_providers
RDSResponse.describe_db_instances = describe_db_instances
EC2Response.describe_spot_instance_requests = describe_spot_instance_requests
EC2Response.describe_launch_template_versions = describe_launch_template_versions
# It takes the region from the name of the host, which is the same here for all of them.
ElasticMapReduceResponse.get_region_from_url = BaseResponse.get_region_from_url


def application(moto):
    """Moto, with EC2 Image Builder, of which it knows nothing."""

    def answer(environ, start_response):
        scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
        region, service = (scope[2], scope[3]) if len(scope) > 3 else ("", "")
        requests[service] += 1
        if environ["PATH_INFO"] == "/ListInfrastructureConfigurations":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            asked = json.loads(environ["wsgi.input"].read(length) or b"{}")
            at = int(asked.get("nextToken", 0))
            all_of_them = added["imagebuilder"][region]
            page = {
                "requestId": "00000000-0000-0000-0000-000000000000",
                "infrastructureConfigurationSummaryList": [
                    {
                        "arn": f"arn:aws:imagebuilder:{region}:{ACCOUNT}:infrastructure-configuration/{name}",
                        "name": name,
                        "instanceProfileName": profile,
                    }
                    for name, profile in all_of_them[at : at + 25]
                ],
            }
            if at + 25 < len(all_of_them):
                page["nextToken"] = str(at + 25)
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(page).encode()]
        return moto(environ, start_response)

    return answer


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


# ------------------------------------------------------------------------------------------------- What boto3 makes there


class World:
    """What there is in the account, and what a scan of it should find."""

    def __init__(self, url):
        self.url = url
        self.iam = self.client("iam", "us-east-1")
        self.profiles = {}
        # (profile, source, region, resource)
        self.references = set()
        self.unsupported = []
        self.made = collections.Counter()

    def client(self, service, region):
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)

    def profile(self, name, path="/"):
        """A profile that is there, with one beside it whose name begins the same and which nobody uses."""
        for made in (name, f"{name}-2", f"x-{name}"):
            answer = self.iam.create_instance_profile(InstanceProfileName=made, Path=path)
            self.profiles[made] = answer["InstanceProfile"]
        return self.profiles[name]

    def refers(self, profile, source, region, resource):
        self.references.add((profile, source, region, resource))
        self.made[source] += 1

    def attempt(self, what, make, *arguments):
        try:
            make(*arguments)
        except Exception as error:  # moto raises whatever it likes for what it does not know
            self.unsupported.append(f"{what}: {type(error).__name__}: {str(error)[:100]}")


def instances(world, region):
    ec2 = world.client("ec2", region)
    by_name, by_arn = f"instance-{region}", f"stopped-{region}"
    world.profile(by_name)
    arn = world.profile(by_arn, "/a/path/")["Arn"]
    # moto makes an association of each instance that is started with a profile.
    for profile, given, stops in ((by_name, {"Name": by_name}, False), (by_arn, {"Arn": arn}, True)):
        run = ec2.run_instances(ImageId=AMI, MinCount=1, MaxCount=1, IamInstanceProfile=given)
        instance = run["Instances"][0]["InstanceId"]
        if stops:
            ec2.stop_instances(InstanceIds=[instance])
        world.refers(profile, "ec2.instances", region, instance)
    ended = f"terminated-{region}"
    world.profile(ended)
    run = ec2.run_instances(ImageId=AMI, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": ended})
    ec2.terminate_instances(InstanceIds=[run["Instances"][0]["InstanceId"]])
    for association in ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]:
        if association["State"] != "disassociated":
            profile = association["IamInstanceProfile"]["Arn"].rpartition("/")[2]
            world.refers(profile, "ec2.associations", region, f"{association['AssociationId']}/{association['InstanceId']}")


def many_instances(world):
    """More than a page of them; the last one has the profile."""
    ec2 = world.client("ec2", REGIONS[1])
    ec2.run_instances(ImageId=AMI, MinCount=INSTANCES, MaxCount=INSTANCES)


def launch_templates(world, region):
    ec2 = world.client("ec2", region)
    first, later, foreign = f"template-first-{region}", f"template-later-{region}", f"template-foreign-{region}"
    world.profile(first)
    arn = world.profile(later, "/deep/")["Arn"]
    world.profile(foreign)
    made = ec2.create_launch_template(
        LaunchTemplateName=f"lt-{region}", LaunchTemplateData={"IamInstanceProfile": {"Name": first.upper()}}
    )
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    world.refers(first, "ec2.launch_templates", region, f"{template}/1")
    # An old version that nobody has as the default counts as well.
    count = TEMPLATE_VERSIONS if region == REGIONS[0] else 4
    for version in range(2, count + 1):
        data = {"InstanceType": "t3.micro"}
        if version == count - 1:
            data = {"IamInstanceProfile": {"Arn": arn}}
            world.refers(later, "ec2.launch_templates", region, f"{template}/{version}")
        elif version == count:
            # The same name in another account.
            data = {"IamInstanceProfile": {"Arn": f"arn:aws:iam::999999999999:instance-profile/{foreign}"}}
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)


def spot(world, region):
    ec2 = world.client("ec2", region)
    fleet, cancelled, request = f"fleet-{region}", f"fleet-cancelled-{region}", f"spot-{region}"
    for name in (fleet, cancelled):
        profile = world.profile(name)
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        made = ec2.request_spot_fleet(
            SpotFleetRequestConfig={
                "IamFleetRole": f"arn:aws:iam::{ACCOUNT}:role/fleet",
                "TargetCapacity": 1,
                "SpotPrice": "0.1",
                "AllocationStrategy": "lowestPrice",
                "LaunchSpecifications": [
                    {"ImageId": AMI, "InstanceType": "t3.micro", "SubnetId": subnet, "IamInstanceProfile": {"Arn": profile["Arn"]}}
                ],
            }
        )["SpotFleetRequestId"]
        if name == cancelled:
            ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[made], TerminateInstances=True)
        else:
            world.refers(name, "ec2.spot_fleets", region, made)
    arn = world.profile(request)["Arn"]
    made = ec2.request_spot_instances(
        SpotPrice="0.1", LaunchSpecification={"ImageId": AMI, "InstanceType": "t3.micro", "IamInstanceProfile": {"Arn": arn}}
    )
    spot_profiles[made["SpotInstanceRequests"][0]["SpotInstanceRequestId"]] = arn


def found_on_moto(world, region):
    """What moto itself says of Spot requests, instances and associations that fleets have started."""
    ec2 = world.client("ec2", region)
    known = {(source, where, resource) for _, source, where, resource in world.references}
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            key = ("ec2.instances", region, instance["InstanceId"])
            if "IamInstanceProfile" in instance and instance["State"]["Name"] != "terminated" and key not in known:
                world.refers(instance["IamInstanceProfile"]["Arn"].rpartition("/")[2], *key)
    for request in ec2.describe_spot_instance_requests()["SpotInstanceRequests"]:
        given = request["LaunchSpecification"].get("IamInstanceProfile")
        if given and request["State"] in ("open", "active", "disabled"):
            name = given.get("Name") or given["Arn"].rpartition("/")[2]
            world.refers(name, "ec2.spot_requests", region, request["SpotInstanceRequestId"])


def launch_configurations(world, region):
    autoscaling = world.client("autoscaling", region)
    by_name, by_arn = f"config-{region}", f"config-arn-{region}"
    world.profile(by_name)
    arn = world.profile(by_arn)["Arn"]
    for profile, given in ((by_name, by_name), (by_arn, arn)):
        name = f"lc-{profile}"
        autoscaling.create_launch_configuration(
            LaunchConfigurationName=name, ImageId=AMI, InstanceType="t3.micro", IamInstanceProfile=given
        )
        world.refers(profile, "autoscaling.launch_configurations", region, name)
    # More than a page of others.
    if region == REGIONS[2]:
        for at in range(120):
            autoscaling.create_launch_configuration(LaunchConfigurationName=f"aa-{at}", ImageId=AMI, InstanceType="t3.micro")


def batch(world, region):
    client, ec2 = world.client("batch", region), world.client("ec2", region)
    profile = f"batch-{region}"
    arn = world.profile(profile)["Arn"]
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"][0]
    client.create_compute_environment(
        computeEnvironmentName=f"ce-{region}",
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 4,
            "instanceTypes": ["t2.micro"],
            "subnets": [subnet["SubnetId"]],
            "securityGroupIds": [group["GroupId"]],
            "instanceRole": arn,
        },
        serviceRole=f"arn:aws:iam::{ACCOUNT}:role/node-role",
    )
    world.refers(profile, "batch.compute_environments", region, f"ce-{region}")


def emr(world, region):
    client = world.client("emr", region)
    running, ended = f"emr-{region}", f"emr-ended-{region}"
    for name in (running, ended):
        world.profile(name)
        job = client.run_job_flow(
            Name=name,
            JobFlowRole=name,
            ServiceRole="EMR_DefaultRole",
            ReleaseLabel="emr-6.10.0",
            Instances={"MasterInstanceType": "m5.large", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
        )["JobFlowId"]
        if name == ended:
            client.terminate_job_flows(JobFlowIds=[job])
        else:
            world.refers(name, "emr.clusters", region, job)


def eks(world, region):
    client, ec2 = world.client("eks", region), world.client("ec2", region)
    role = f"node-{region}"
    arn = world.iam.create_role(RoleName=role, Path="/nodes/", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    held = f"eks-held-{region}"
    world.profile(held)
    world.iam.add_role_to_instance_profile(InstanceProfileName=held, RoleName=role)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]
    client.create_cluster(
        name=f"cluster-{region}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/node-role", resourcesVpcConfig={"subnetIds": subnets}
    )
    client.create_nodegroup(clusterName=f"cluster-{region}", nodegroupName="blue", nodeRole=arn, subnets=subnets)
    world.refers(held, "eks.node_groups", region, f"cluster-{region}/blue")


def beanstalk(world, region):
    client = world.client("elasticbeanstalk", region)
    profile = f"beanstalk-{region}"
    world.profile(profile)
    client.create_application(ApplicationName="shop")
    client.create_environment(ApplicationName="shop", EnvironmentName=f"shop-{region}", SolutionStackName="64bit Amazon Linux 2")
    added["beanstalk"][region].append((f"shop-{region}", profile))
    world.refers(profile, "elasticbeanstalk.environments", region, f"shop-{region}")


def ecs(world, region):
    client = world.client("ecs", region)
    profile = f"ecs-{region}"
    arn = world.profile(profile)["Arn"]
    client.create_cluster(clusterName="main")
    client.create_cluster(clusterName="other")
    added["ecs"][region].append((f"managed-{region}", arn))
    world.refers(profile, "ecs.capacity_providers", region, f"managed-{region}")


def image_builder(world, region):
    profile = f"imagebuilder-{region}"
    world.profile(profile)
    for at in range(30):
        added["imagebuilder"][region].append((f"other-{at}", "not-there"))
    added["imagebuilder"][region].append((f"infrastructure-{region}", profile))
    world.refers(profile, "imagebuilder.infrastructure_configurations", region, f"infrastructure-{region}")


def rds(world, region):
    client = world.client("rds", region)
    profile = f"AWSRDSCustom-{region}"
    world.profile(profile)
    for name in (f"plain-{region}", f"custom-{region}"):
        client.create_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.m5.large", Engine="postgres", AllocatedStorage=20)
    custom_databases[f"custom-{region}"] = profile
    world.refers(profile, "rds.custom_instances", region, f"custom-{region}")


MAKERS = (
    instances,
    launch_templates,
    spot,
    launch_configurations,
    batch,
    emr,
    eks,
    beanstalk,
    ecs,
    image_builder,
    rds,
)


def build(world):
    world.iam.create_role(RoleName="node-role", AssumeRolePolicyDocument=TRUST)
    world.profile("never-used")
    world.profile("web")
    # A role that nobody has used, and that is too young to say that nobody will.
    world.profile("young-role")
    world.iam.add_role_to_instance_profile(InstanceProfileName="young-role", RoleName="node-role")
    for region in REGIONS:
        for make in MAKERS:
            world.attempt(f"{make.__name__} in {region}", make, world, region)
    for region in REGIONS:
        world.attempt(f"reading moto in {region}", found_on_moto, world, region)
    many_instances(world)


def age(world):
    """Makes all of it a day older, but one profile: what is made just before a scan may get a reference after it."""
    for profile in iam_backends[ACCOUNT]["aws"].instance_profiles.values():
        profile.create_date -= datetime.timedelta(days=1)
    world.profiles["just-made"] = world.iam.create_instance_profile(InstanceProfileName="just-made")["InstanceProfile"]


# -------------------------------------------------------------------------------------------------------------- The check


def scan(program, url):
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.environ["PATH"],
            "IAMLUA_HOME": home,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [program, "run", "-", "--aws", "--read-only", "--endpoint-url", url]
        begun = time.monotonic()
        ran = subprocess.run(command, env=environment, input=SCRIPT, capture_output=True, text=True, cwd=home)
        assert ran.returncode == 0, (ran.returncode, ran.stdout[-2000:], ran.stderr[-4000:])
        return json.loads(ran.stdout), time.monotonic() - begun


def check(world, found):
    assert found["complete"] and not found["gaps"], found["gaps"]
    verdicts = {verdict["profile"]: verdict for verdict in found["verdicts"]}
    assert verdicts.keys() == world.profiles.keys()
    seen = {
        (name, reference["source"], reference["region"], reference["resource"])
        for name, verdict in verdicts.items()
        for reference in verdict["references"]
    }
    missing, invented = sorted(world.references - seen), sorted(seen - world.references)
    assert not missing, f"{len(missing)} not found, such as {missing[:5]}"
    assert not invented, f"{len(invented)} invented, such as {invented[:5]}"
    used = {name for name, *_ in world.references}
    for name, verdict in verdicts.items():
        expected = "used" if name in used else "unknown" if name in ("young-role", "just-made") else "unused"
        assert verdict["verdict"] == expected, (name, expected, verdict)
        for reference in verdict["references"]:
            assert reference["source"].startswith(reference["service"]) or reference["service"] == "elasticmapreduce", reference


def main():
    program = os.path.abspath(sys.argv[1])
    server = make_server("127.0.0.1", 0, application(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world = World(f"http://127.0.0.1:{server.server_port}")
    build(world)
    age(world)
    requests.clear()
    found, seconds = scan(program, world.url)
    check(world, found)
    print(f"{len(world.profiles)} profiles in {len(REGIONS)} regions, {seconds:.1f} s; references of each source, all found, none invented:")
    for source, count in sorted(world.made.items()):
        print(f"  {source}: {count}")
    print("requests by service:", dict(sorted(requests.items())))
    print("Added to moto here: elasticbeanstalk:DescribeConfigurationSettings, managed instances of ecs:DescribeCapacityProviders,")
    print("  pages of ec2:DescribeLaunchTemplateVersions, the profile in ec2:DescribeSpotInstanceRequests, CustomIamInstanceProfile of rds:DescribeDBInstances, imagebuilder:ListInfrastructureConfigurations.")
    if world.unsupported:
        print("moto refused:", *world.unsupported, sep="\n  ")
        sys.exit(1)
    print("all is well")


main()
