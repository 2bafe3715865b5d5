//! Amazon RDS: database instances. Only instances of RDS Custom have an instance profile.

use super::super::actions::describe;
use super::super::call::Call;
use super::super::import_resources::with_id_and_profile;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::resources::{self, KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::super::xml::Xml;
use super::listing::{Listing, Paging};
use super::{ServiceTable, moment, place, synthetic};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "rds",
    protocol: Protocol::Query {
        version: "2014-10-31",
        namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
    },
    throttled: (400, "Throttling", "Rate exceeded"),
    invalid_token: (400, "InvalidParameterValue", "Invalid Marker."),
    invalid_value: "InvalidParameterValue",
    failure: "InternalFailure",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "rds.instance",
    states: &["available"],
    state_key: Some("status"),
    new_id: Some(|synthetic| format!("db-{}", synthetic.hex(12))),
    fields: &["id", "profile"],
    describe: with_id_and_profile,
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[describe(SERVICE, "DescribeDBInstances", describe_db_instances)],
    kinds: &[KIND],
};

const PAGING: Paging =
    Paging { limit: "MaxRecords", min: 20, max: 100, default_limit: 100, token: "Marker" };

/// `DescribeDBInstances`: all, or one.
pub(in super::super) fn describe_db_instances(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let service = call.action.service;
    let filters = call.form.list_between("Filters", ".Filter.");
    if let Some(filter) = filters.first() {
        let name = filter.field("Name").unwrap_or_default();
        return Err(
            Refusal::invalid_value(service, format!("Unrecognized filter name: {name}")).into()
        );
    }
    let (found, marker) = match call.optional_text("DBInstanceIdentifier") {
        None => {
            let listing = Listing::of(view, call, &PAGING, "")?;
            listing.page(view, place(call, KIND), |_| true)?
        }
        Some(id) => {
            let found = resources::find(view.connection, place(call, KIND), id)?;
            let found = found.ok_or_else(|| {
                Refusal::not_there(404, "DBInstanceNotFound", format!("DBInstance {id} not found."))
            })?;
            (vec![found], None)
        }
    };
    if let Some(marker) = marker {
        xml.text("Marker", &marker);
    }
    xml.within("DBInstances", |xml| {
        found.iter().try_for_each(|instance| {
            xml.within("DBInstance", |xml| {
                write(xml, &view.account.id, instance);
                Ok::<(), CallFailure>(())
            })
        })
    })
}

fn write(xml: &mut Xml, account: &str, instance: &Resource) {
    let Resource { region, key: id, created, profile, .. } = instance;
    let of_region = |what| Synthetic::of(&[account, region, what]).hex(16);
    let (engine, version, license) = match profile {
        Some(_) => ("custom-oracle-ee", "19.cdb_cev1", "bring-your-own-license"),
        None => ("postgres", "16.4", "postgresql-license"),
    };
    xml.text("DBInstanceIdentifier", id);
    xml.literal("<DBInstanceClass>db.m5.large</DBInstanceClass>");
    xml.text("Engine", engine);
    xml.text("DBInstanceStatus", instance.state());
    xml.literal("<MasterUsername>admin</MasterUsername>");
    let zone = Synthetic::of(&[account, region, "endpoint"]).capitals(12).to_lowercase();
    xml.literal("<Endpoint>");
    xml.text("Address", &format!("{id}.{zone}.{region}.rds.amazonaws.com"));
    xml.literal("<Port>5432</Port><HostedZoneId>Z1TTGA775OQIYO</HostedZoneId></Endpoint>");
    xml.literal("<AllocatedStorage>100</AllocatedStorage>");
    xml.text("InstanceCreateTime", &moment(*created));
    xml.literal("<PreferredBackupWindow>03:00-03:30</PreferredBackupWindow><BackupRetentionPeriod>7</BackupRetentionPeriod><DBSecurityGroups/>");
    xml.literal("<VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-0");
    xml.literal(&of_region("group"));
    xml.literal("</VpcSecurityGroupId><Status>active</Status></VpcSecurityGroupMembership></VpcSecurityGroups><DBParameterGroups/>");
    xml.text("AvailabilityZone", &format!("{region}a"));
    xml.literal("<PreferredMaintenanceWindow>sun:04:00-sun:04:30</PreferredMaintenanceWindow><PendingModifiedValues/><MultiAZ>false</MultiAZ>");
    xml.text("EngineVersion", version);
    xml.literal("<AutoMinorVersionUpgrade>false</AutoMinorVersionUpgrade><ReadReplicaDBInstanceIdentifiers/>");
    xml.text("LicenseModel", license);
    xml.literal("<PubliclyAccessible>false</PubliclyAccessible><StorageType>gp3</StorageType><DbInstancePort>0</DbInstancePort><StorageEncrypted>true</StorageEncrypted>");
    xml.text(
        "DbiResourceId",
        &format!("db-{}", synthetic(KIND, instance, "resource").capitals(24)),
    );
    xml.literal("<CopyTagsToSnapshot>false</CopyTagsToSnapshot>");
    xml.text("DBInstanceArn", &format!("arn:aws:rds:{region}:{account}:db:{id}"));
    xml.literal("<IAMDatabaseAuthenticationEnabled>false</IAMDatabaseAuthenticationEnabled><PerformanceInsightsEnabled>false</PerformanceInsightsEnabled><DeletionProtection>false</DeletionProtection><TagList/>");
    if let Some(profile) = profile {
        xml.text("CustomIamInstanceProfile", profile);
    }
}
