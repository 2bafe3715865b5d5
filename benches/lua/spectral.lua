local function a(i, j)
  local ij = i + j - 1
  return 1.0 / (ij * (ij - 1) * 0.5 + i)
end
local n = 250
local function multiply(x, y, transposed)
  for i = 1, n do
    local sum = 0
    for j = 1, n do
      sum = sum + x[j] * (transposed and a(j, i) or a(i, j))
    end
    y[i] = sum
  end
end
local u, v, t = {}, {}, {}
for i = 1, n do
  u[i] = 1
end
for _ = 1, 10 do
  multiply(u, t)
  multiply(t, v, true)
  multiply(v, t)
  multiply(t, u, true)
end
