local seed = 42
local function random()
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed
end
for round = 1, 2 do
  local list = {}
  for i = 1, 200000 do
    list[i] = random()
  end
  if round == 1 then
    table.sort(list)
  else
    table.sort(list, function(a, b)
      return a > b
    end)
  end
end
