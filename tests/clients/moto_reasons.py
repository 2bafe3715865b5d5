"""The differences between moto's tests and the served account, each with AWS's side and its source.

`LocalStack` stands for its recordings of AWS, in tests/aws/services/iam and sts of
localstack/localstack, commit 708a15e6aa0ecfc5dc8e91c2290d7b0abca73b41.
"""

PARTITION = (
    "moto takes the partition from the region of a call. An account of AWS is in one partition."
)
REPLACED = "The test compares with an input that AWS refuses, so it was replaced by a valid one."
NAME = (
    "The policy is called `test policy`. Names of policies match `[\\w+=,.@-]+` "
    "(service model of IAM)."
)
VERSION = (
    "CreatePolicyVersion answers no document (LocalStack, test_policy_version_lifecycle and the "
    "example of the API reference)."
)
POLICY_TAGS = (
    "Keys of tags of policies are case-sensitive, and the text for duplicates does not speak of "
    "case (User Guide, Tags for IAM resources; LocalStack, test_policy_tag_create_errors)."
)
DOCUMENT = "The text that AWS answered to this document (LocalStack, TestPolicyDocumentValidity)."
SID = (
    "The Sid contains an underscore. Sids are letters and digits "
    "(User Guide, JSON policy elements: Sid)."
)
MARKER = "The test expects the marker `1`. Markers have no documented form."
KEYS = (
    "`Member must satisfy constraint: [Member must have length less than or equal to 128, …]` in "
    "one bracket (LocalStack, test_role_tag_errors and test_policy_tag_update_errors)."
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
    "test_tag_role": MARKER,
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
    "test_list_role_policies": NAME,
    "test_put_role_policy": NAME,
    "test_get_role_policy": NAME,
    "test_create_policy_versions": VERSION,
    "test_set_default_policy_version": VERSION,
    "test_list_policy_versions": VERSION,
    "test_create_policy_with_duplicate_tag": POLICY_TAGS,
    "test_create_policy_with_duplicate_tag_different_casing": POLICY_TAGS,
    "test_updating_existing_tagged_policy_with_duplicate_tag": POLICY_TAGS,
    "test_updating_existing_tagged_policy_with_duplicate_tag_different_casing": POLICY_TAGS,
    "test_list_policy_tags_pagination": MARKER,
    "test_untag_policy": KEYS,
    "test_untag_role": KEYS,
    "test_create_policy_with_invalid_policy_document[invalid_policy_document29]": DOCUMENT,
    "test_create_policy_with_invalid_policy_document[invalid_policy_document35]": DOCUMENT,
    "test_create_policy_with_valid_policy_document[valid_policy_document39]": SID,
    "test_create_policy_with_valid_policy_document[valid_policy_document40]": SID,
    "test_create_policy_with_valid_policy_document[valid_policy_document41]": (
        "A resource is null. Resources are strings (User Guide, Grammar of the IAM JSON policy "
        "language). In CloudFormation, where moto met it, a null is left out before."
    ),
    "test_get_current_user": "The caller of moto is named `default_user`.",
    "test_get_account_summary": (
        "AccountPasswordPresent is in the answer, and the calling user is counted "
        "(LocalStack, test_get_account_summary_format)."
    ),
    "test_create_service_linked_role[other-other]": (
        "AWS has no service `other`, so it has no service-linked role."
    ),
    "test_delete_service_linked_role": (
        "`The role with name X cannot be found.` (LocalStack, test_role_errors)"
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
