"""The differences between moto's tests and the served account, each with AWS's side and its source.

`LocalStack` stands for its recordings of AWS, in tests/aws/services/iam and sts of
localstack/localstack, commit 708a15e6aa0ecfc5dc8e91c2290d7b0abca73b41.
"""

PARTITION = (
    "moto takes the partition from the region of a call. An account of AWS is in one partition."
)
REPLACED = "The test compares with an input that AWS refuses, so it was replaced by a valid one."
FINAL_DOT = (
    "Texts of AWS end without the dot (LocalStack, test_iam_roles.py::TestRoleTags::"
    "test_role_tag_errors)."
)

# By test, with or without its parameters.
REASONS = {
    "test_get_role__should_throw__when_role_does_not_exist": (
        "`The role with name X cannot be found.` (LocalStack, test_role_errors)"
    ),
    "test_get_instance_profile__should_throw__when_instance_profile_does_not_exist": (
        "`Instance Profile X cannot be found.` (LocalStack, test_instance_profile_errors)"
    ),
    "test_create_role_and_instance_profile": REPLACED,
    "test_list_instance_profiles_for_role": REPLACED,
    "test_update_assume_role_invalid_policy": (
        "`This policy contains invalid Json` (LocalStack, test_update_assume_role_policy_errors)"
    ),
    "test_update_assume_role_invalid_policy_bad_action": (
        "`AssumeRole policy may only specify STS AssumeRole actions.` (LocalStack, the same test)"
    ),
    "test_update_assume_role_invalid_policy_with_resource": (
        "`Has prohibited field Resource` without a dot (LocalStack, the same test)"
    ),
    "test_create_role_with_tags": FINAL_DOT,
    "test_tag_role": (
        "The test expects the marker `1`. Markers have no documented form. " + FINAL_DOT
    ),
    "test_untag_role": FINAL_DOT,
    "test_update_role_defaults": (
        "UpdateRole without a description keeps the description (LocalStack, test_update_role)."
    ),
    "test_create_role_no_path": (
        "CreateRole does not answer the description "
        "(LocalStack, test_role_permissions_boundary_lifecycle)."
    ),
    "test_list_roles": (
        "CreateRole does not answer the description "
        "(LocalStack, test_role_permissions_boundary_lifecycle)."
    ),
    "test_create_role_with_permissions_boundary[us-west-2-aws]": (
        "A boundary must exist: `Scope ARN: X does not exist or is not attachable.` "
        "(LocalStack, test_role_permissions_boundary_errors)"
    ),
    "test_create_role_with_permissions_boundary[cn-north-1-aws-cn]": PARTITION,
    "test_list_roles_none_found_returns_empty_list": (
        "A marker that AWS did not make is refused: `Invalid Marker.`"
    ),
    "test_get_session_token": "The test expects the token of an example in AWS's documentation.",
    "test_assume_role": (
        "The test expects tokens of 356 characters. AWS: `The size of the security token that STS "
        "API operations return is not fixed` (API reference of AssumeRole)."
    ),
    "test_assume_role_with_web_identity": (
        "The test's token is no JSON Web Token: InvalidIdentityToken (API reference of "
        "AssumeRoleWithWebIdentity)."
    ),
    "test_get_caller_identity_with_default_credentials": (
        "The ARN of a user is of IAM, `arn:aws:iam::A:user/N`; moto answers one of STS "
        "(User Guide, IAM identifiers)."
    ),
    "test_sts_regions": (
        "The ARN of a user is of IAM, `arn:aws:iam::A:user/N`; moto answers one of STS "
        "(User Guide, IAM identifiers)."
    ),
    "test_get_caller_identity_with_assumed_role_credentials[cn-north-1-aws-cn]": PARTITION,
    "TestStsAssumeRole::test_assume_role_in_different_account": (
        "A role that does not exist cannot be assumed: AccessDenied."
    ),
}


def reason(test):
    """The reason for a test by its name, or None."""
    return REASONS.get(test) or REASONS.get(test.partition("[")[0])
