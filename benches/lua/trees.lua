local function make(depth)
  if depth == 0 then
    return { false, false }
  end
  return { make(depth - 1), make(depth - 1) }
end
local function count(tree)
  return tree[1] and 1 + count(tree[1]) + count(tree[2]) or 1
end
local sum = 0
for _ = 1, 30 do
  sum = sum + count(make(14))
end
assert(sum == 30 * ((1 << 15) - 1))
