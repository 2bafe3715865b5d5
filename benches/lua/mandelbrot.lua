local inside = 0
for py = 0, 299 do
  for px = 0, 299 do
    local cx, cy, x, y, i = px / 150 - 1.5, py / 150 - 1, 0, 0, 0
    while i < 100 and x * x + y * y < 4 do
      x, y, i = x * x - y * y + cx, 2 * x * y + cy, i + 1
    end
    inside = inside + (i == 100 and 1 or 0)
  end
end
assert(inside > 0)
