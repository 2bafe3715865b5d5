--- Job of `iamlua schedule`: lists unused instance profiles older than some days, on working days.
---
---   iamlua schedule --dry-run examples/runbooks
---   iamlua schedule run orphans_report examples/runbooks
---
--- When retries are exhausted, the failure is posted to the URL in IAMLUA_WEBHOOK. That needs
--- `--allow-env=IAMLUA_WEBHOOK --allow-net=HOST`.

local p = runbook {
  description = "Lists instance profiles that nobody uses and that are older than some days.",
  params = {
    days = {
      default = 90,
      min = 0,
      help = "only profiles that were created so many days ago or earlier",
    },
  },
  allow = { "usage.scan", "profiles.each" },
  schedule = "0 7 * * 1-5",
  timezone = "Europe/Berlin",
  jitter = "2m",
  timeout = "15m",
  retries = 2,
  -- Without the permission there is no webhook.
  on_failure = { webhook = try(os.getenv, "IAMLUA_WEBHOOK") },
}

local scan = usage.scan {}
local rows = {}
for profile in iam.profiles.each() do
  if profile.create_date < time.ago(p.days .. "d") then
    local verdict = scan:verdict(profile)
    if verdict.verdict ~= "used" then
      rows[#rows + 1] = {
        name = profile.name,
        path = profile.path,
        verdict = verdict.verdict,
        created = profile.create_date,
        reason = verdict.reason,
      }
    end
  end
end
report(rows, { columns = { "name", "path", "verdict", "created", "reason" } })
log.info("looked who uses the profiles", { listed = #rows, complete = scan.complete })
