-- Run with `iamlua test`. Each test has its own account in memory; nothing on AWS or in the local
-- account is touched.

describe("tag_owner.lua", function()
  before_each(function()
    account.import {
      profiles = {
        { name = "api", path = "/ec2/", tags = { Owner = "dev" } },
        { name = "web", path = "/ec2/", tags = { Owner = "ops" } },
        { name = "batch", path = "/batch/" },
      },
    }
  end)

  it("tags what is under the path, and nothing else", function()
    local run = run_runbook("tag_owner.lua", { owner = "ops", path = "/ec2/" })
    expect(run.code):to_equal(0)
    expect(#run.changes):to_equal(1)
    expect(run.changes[1]):to_have { action = "TagInstanceProfile", name = "api" }
    expect(iam.profiles.tags("api")):to_equal { Owner = "ops" }
    expect(iam.profiles.tags("batch")):to_equal {}
  end)

  it("changes nothing the second time", function()
    run_runbook("tag_owner.lua", { owner = "ops" })
    expect(run_runbook("tag_owner.lua", { owner = "ops" }).changes):to_equal {}
  end)

  it("only lists what it would change as a plan", function()
    local run = run_runbook("tag_owner.lua", { owner = "ops" }, { mode = "plan" })
    expect(#run.changes):to_equal(2)
    expect(iam.profiles.tags("api").Owner):to_equal("dev")
  end)

  it("needs an owner", function()
    local run = run_runbook("tag_owner.lua")
    expect(run.code):to_equal(2)
    expect(run.stderr):to_contain("missing: --owner TEXT")
  end)
end)
