"""The boto3 peer of usage.py: who uses which instance profile, by the same calls from a pool of threads: usage.py THREADS. The endpoint
comes from AWS_ENDPOINT_URL. Prints how many profiles are used."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import boto3
from botocore.config import Config

threads = int(sys.argv[1])
config = Config(max_pool_connections=threads)
lock, made = threading.Lock(), {}
used = set()


def client(service, region):
    # Making one is not safe in threads, using it is.
    with lock:
        if (service, region) not in made:
            made[service, region] = boto3.client(service, region_name=region, config=config)
        return made[service, region]


def note(value):
    if isinstance(value, dict):
        value = value.get("Arn") or value.get("Name")
    if value:
        used.add(value.rpartition("/")[2].lower())


def pages(service, region, operation, size=None, **arguments):
    return client(service, region).get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments)


def instances(region):
    for page in pages("ec2", region, "describe_instances", 1000):
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] != "terminated":
                    note(instance.get("IamInstanceProfile"))


def associations(region):
    for page in pages("ec2", region, "describe_iam_instance_profile_associations", 1000):
        for association in page["IamInstanceProfileAssociations"]:
            note(association["IamInstanceProfile"])


def launch_templates(region):
    for page in pages("ec2", region, "describe_launch_templates", 200):
        for template in page["LaunchTemplates"]:
            yield launch_template_versions, region, template["LaunchTemplateId"]


def launch_template_versions(region, template):
    for page in pages("ec2", region, "describe_launch_template_versions", 200, LaunchTemplateId=template):
        for version in page["LaunchTemplateVersions"]:
            note(version["LaunchTemplateData"].get("IamInstanceProfile"))


def spot_fleets(region):
    for page in pages("ec2", region, "describe_spot_fleet_requests", 1000):
        for fleet in page["SpotFleetRequestConfigs"]:
            if fleet["SpotFleetRequestState"] not in ("cancelled", "failed"):
                for specification in fleet["SpotFleetRequestConfig"].get("LaunchSpecifications", []):
                    note(specification.get("IamInstanceProfile"))


def spot_requests(region):
    for page in pages("ec2", region, "describe_spot_instance_requests", 1000):
        for request in page["SpotInstanceRequests"]:
            if request["State"] in ("open", "active", "disabled"):
                note(request["LaunchSpecification"].get("IamInstanceProfile"))


def launch_configurations(region):
    for page in pages("autoscaling", region, "describe_launch_configurations", 100):
        for configuration in page["LaunchConfigurations"]:
            note(configuration.get("IamInstanceProfile"))


def batch(region):
    for page in pages("batch", region, "describe_compute_environments"):
        for environment in page["computeEnvironments"]:
            note(environment.get("computeResources", {}).get("instanceRole"))


def ecs_clusters(region):
    for page in pages("ecs", region, "list_clusters", 100):
        for cluster in page["clusterArns"]:
            yield capacity_providers, region, cluster


def capacity_providers(region, cluster):
    token = {}
    while token is not None:
        page = client("ecs", region).describe_capacity_providers(cluster=cluster, maxResults=10, **token)
        for provider in page["capacityProviders"]:
            managed = provider.get("managedInstancesProvider", {}).get("instanceLaunchTemplate", {})
            note(managed.get("ec2InstanceProfileArn"))
        token = {"nextToken": page["nextToken"]} if page.get("nextToken") else None


def image_builder(region):
    for page in pages("imagebuilder", region, "list_infrastructure_configurations", 25):
        for configuration in page["infrastructureConfigurationSummaryList"]:
            note(configuration.get("instanceProfileName"))


EMR_STATES = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"]


def emr(region):
    for page in pages("emr", region, "list_clusters", ClusterStates=EMR_STATES):
        for cluster in page["Clusters"]:
            yield emr_cluster, region, cluster["Id"]


def emr_cluster(region, cluster):
    note(client("emr", region).describe_cluster(ClusterId=cluster)["Cluster"]["Ec2InstanceAttributes"].get("IamInstanceProfile"))


def beanstalk(region):
    for page in pages("elasticbeanstalk", region, "describe_environments", 1000, IncludeDeleted=False):
        for environment in page["Environments"]:
            yield beanstalk_settings, region, environment["ApplicationName"], environment["EnvironmentName"]


def beanstalk_settings(region, application, environment):
    answer = client("elasticbeanstalk", region).describe_configuration_settings(
        ApplicationName=application, EnvironmentName=environment
    )
    for settings in answer["ConfigurationSettings"]:
        for option in settings["OptionSettings"]:
            if option["Namespace"] == "aws:autoscaling:launchconfiguration" and option["OptionName"] == "IamInstanceProfile":
                note(option.get("Value"))


roles_of_node_groups = set()


def eks(region):
    for page in pages("eks", region, "list_clusters", 100):
        for cluster in page["clusters"]:
            yield node_groups, region, cluster


def node_groups(region, cluster):
    for page in pages("eks", region, "list_nodegroups", 100, clusterName=cluster):
        for group in page["nodegroups"]:
            yield node_group, region, cluster, group


def node_group(region, cluster, group):
    answer = client("eks", region).describe_nodegroup(clusterName=cluster, nodegroupName=group)
    roles_of_node_groups.add(answer["nodegroup"]["nodeRole"].rpartition("/")[2])


def rds(region):
    for page in pages("rds", region, "describe_db_instances", 100):
        for database in page["DBInstances"]:
            note(database.get("CustomIamInstanceProfile"))


SOURCES = (
    instances,
    associations,
    launch_templates,
    spot_fleets,
    spot_requests,
    launch_configurations,
    batch,
    ecs_clusters,
    image_builder,
    emr,
    beanstalk,
    eks,
    rds,
)


def run(work):
    """Does one piece of work, and returns what it has found that is to be asked as well."""
    call, *arguments = work
    return list(call(*arguments) or ())


def main():
    regions = client("ec2", "us-east-1").describe_regions(AllRegions=True)["Regions"]
    enabled = [region["RegionName"] for region in regions if region["OptInStatus"] != "not-opted-in"]
    with ThreadPoolExecutor(threads) as pool:
        waiting = {pool.submit(run, (source, region)) for region in enabled for source in SOURCES}
        while waiting:
            for done in as_completed(list(waiting)):
                waiting.discard(done)
                waiting.update(pool.submit(run, work) for work in done.result())
        iam = client("iam", "us-east-1")
        asked = []
        for page in pages("iam", "us-east-1", "list_instance_profiles", 1000):
            for profile in page["InstanceProfiles"]:
                name, roles = profile["InstanceProfileName"].lower(), [role["RoleName"] for role in profile["Roles"]]
                if name not in used and roles_of_node_groups.intersection(roles):
                    used.add(name)
                elif name not in used:
                    asked += [(name, role) for role in roles]

        def ask(pair):
            if iam.get_role(RoleName=pair[1])["Role"].get("RoleLastUsed", {}).get("LastUsedDate"):
                used.add(pair[0])

        list(pool.map(ask, asked))
    print("used", len(used))


main()
