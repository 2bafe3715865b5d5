local n, count = 4000000, 0
local composite = {}
for i = 2, n do
  if not composite[i] then
    count = count + 1
    for j = i * i, n, i do
      composite[j] = true
    end
  end
end
assert(count == 283146)
