#!/usr/bin/env python3
"""Writes src/usage/hosts.tsv: the hosts of all services of a usage scan, as botocore resolves them.

    pip install botocore
    tests/clients/usage_hosts.py > src/usage/hosts.tsv

A line has the service, the region, and its hosts: plain, with FIPS, with dual-stack, with both.
The test in src/usage/endpoint.rs holds the program against it. Made with botocore 1.43.11.
"""

import botocore.session
from botocore.config import Config

SERVICES = [
    "ec2", "autoscaling", "batch", "ecs", "imagebuilder", "emr", "elasticbeanstalk", "eks", "rds",
]
REGIONS = ["eu-central-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "us-isob-east-1"]


def host(service, region, fips, dual_stack):
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)
    client = botocore.session.Session().create_client(
        service, region, aws_access_key_id="a", aws_secret_access_key="b", config=config
    )
    model = client.meta.service_model
    operation = model.operation_model(model.operation_names[0])
    # There is no public way to ask for the endpoint of a call that is not made.
    endpoint = client._ruleset_resolver.construct_endpoint(operation, {}, {})
    return endpoint.url.removeprefix("https://")


for service in SERVICES:
    for region in REGIONS:
        variants = [(False, False), (True, False), (False, True), (True, True)]
        print(service, region, *(host(service, region, *each) for each in variants), sep="\t")
