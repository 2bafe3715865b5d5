local counts, words = {}, {}
for i = 1, 200000 do
  words[#words + 1] = "name-" .. i % 5000
end
for word in table.concat(words, " "):gmatch("%S+") do
  counts[word] = (counts[word] or 0) + 1
end
local names = {}
for name in pairs(counts) do
  names[#names + 1] = string.format("%s=%d", name:upper(), counts[name])
end
table.sort(names)
assert(#names == 5000)
