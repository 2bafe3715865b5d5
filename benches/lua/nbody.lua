local sqrt = math.sqrt
local bodies = {}
for i = 1, 5 do
  bodies[i] = { x = i, y = i * 0.5, z = -i, vx = 0, vy = 0.01 * i, vz = 0, mass = 1 / i }
end
for _ = 1, 100000 do
  for i = 1, #bodies do
    local a = bodies[i]
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      local d2 = dx * dx + dy * dy + dz * dz + 0.01
      local mag = 0.0001 / (sqrt(d2) * d2)
      a.vx, a.vy, a.vz =
        a.vx - dx * b.mass * mag, a.vy - dy * b.mass * mag, a.vz - dz * b.mass * mag
      b.vx, b.vy, b.vz =
        b.vx + dx * a.mass * mag, b.vy + dy * a.mass * mag, b.vz + dz * a.mass * mag
    end
  end
  for i = 1, #bodies do
    local a = bodies[i]
    a.x, a.y, a.z = a.x + 0.0001 * a.vx, a.y + 0.0001 * a.vy, a.z + 0.0001 * a.vz
  end
end
