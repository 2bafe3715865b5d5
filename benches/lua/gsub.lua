local text = string.rep("arn:aws:iam::123456789012:instance-profile/app/web-0 ", 2000)
local count = 0
for _ = 1, 20 do
  text:gsub("%d+", function(digits)
    count = count + #digits
  end)
  for name in text:gmatch("([%w-]+) ") do
    count = count + #name
  end
  text = text:gsub("web", "app"):gsub("app", "web")
end
assert(count > 0)
