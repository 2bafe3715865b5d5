--- A job of `iamlua schedule`: on working days it lists the instance profiles that have no role and are older than some days.
---
---   iamlua schedule --dry-run examples/runbooks
---   iamlua schedule run orphans_report examples/runbooks
---
--- With IAMLUA_WEBHOOK in the environment (and `--allow-env=IAMLUA_WEBHOOK --allow-net=HOST`) its last failed try is posted there.

local p = runbook {
  description = "Lists instance profiles that have no role and are older than some days.",
  params = {
    days = { default = 90, min = 0, help = "only profiles that were created so many days ago or earlier" },
  },
  allow = { "profiles.each" },
  schedule = "0 7 * * 1-5",
  timezone = "Europe/Berlin",
  jitter = "2m",
  timeout = "15m",
  retries = 2,
  -- Without the permission there is no webhook.
  on_failure = { webhook = try(os.getenv, "IAMLUA_WEBHOOK") },
}

local rows = {}
for profile in iam.profiles.each() do
  if not profile.role and profile.create_date < time.ago(p.days .. "d") then
    rows[#rows + 1] = { name = profile.name, path = profile.path, created = profile.create_date }
  end
end
report(rows)
log.info("looked for profiles without a role", { found = #rows })
