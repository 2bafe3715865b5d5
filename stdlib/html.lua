--- HTML: elements and pages whose text is escaped.
---
--- ```lua
--- local list = html.element("ul", { class = "names" }, {
---   html.element("li", "web & co"),
---   html.element("li", "<b>"),
--- })
--- assert(
---   tostring(list)
---     == '<ul class="names"><li>web &amp; co</li><li>&lt;b&gt;</li></ul>'
--- )
--- ```
---
--- `report` writes rows as a page with `--output html`, and `report.page` makes pages of tables and
--- bars.
---@class html
local html = {}

local _, host = ...
local inspect = require("inspect")

--- Piece of HTML, made by `html.element` or `html.raw`. `tostring` and `..` make text of it.
---@class html.Fragment

-- Markup of the fragments. It is not in the fragments, so that no script can change it there.
local markup = setmetatable({}, { __mode = "k" })
local Fragment = { __name = "html fragment" }

function Fragment:__tostring()
  return markup[self]
end

function Fragment.__concat(a, b)
  return tostring(a) .. tostring(b)
end

local function fragment(text)
  local made = setmetatable({}, Fragment)
  markup[made] = text
  return made
end

local function fail(name, problem, hint)
  host.fail("argument", name .. ": " .. problem, hint)
end

-- Elements without content.
local VOID = {}
for _, name in ipairs {
  "area",
  "base",
  "br",
  "col",
  "embed",
  "hr",
  "img",
  "input",
  "link",
  "meta",
  "source",
  "track",
  "wbr",
} do
  VOID[name] = true
end

-- Elements whose content is not escaped by browsers, that show other documents, or that change
-- attributes.
local UNSAFE = {}
local REFUSED = "script style noscript iframe template object embed applet frame frameset portal "
  .. "plaintext xmp animate animatemotion animatetransform set base link meta"
for name in string.gmatch(REFUSED, "%a+") do
  UNSAFE[name] = true
end

-- Attributes with an address, which could be a program.
local ADDRESSES = { href = true, src = true, action = true, formaction = true, data = true }
ADDRESSES["xlink:href"], ADDRESSES.poster, ADDRESSES.cite = true, true, true
ADDRESSES.background, ADDRESSES.ping = true, true

local SCHEMES = { http = true, https = true, mailto = true }

local MAX_NESTING = 100

-- Adds the markup of a child, or of the children in an array.
local function add(pieces, child, name, depth)
  local kind = type(child)
  if child == nil or child == false then
    return
  elseif markup[child] then
    pieces[#pieces + 1] = markup[child]
  elseif kind == "string" then
    pieces[#pieces + 1] = host.html_escape(child)
  elseif kind == "number" or child == true then
    pieces[#pieces + 1] = tostring(child)
  elseif kind ~= "table" then
    fail(name, "a child must be text or an element, got a " .. kind)
  elseif depth > MAX_NESTING then
    fail(name, "the arrays of children are nested too deeply, or one holds itself")
  elseif rawlen(child) == 0 and next(child) ~= nil then
    fail(
      name,
      "a child must be text, an element or an array of them, got a table with named fields",
      "the attributes are the second argument: html.element('a', { href = … }, 'text')"
    )
  else
    for i = 1, rawlen(child) do
      add(pieces, child[i], name, depth + 1)
    end
  end
end

local function check_address(value, key, where)
  -- Browsers ignore these characters, also within the scheme.
  local plain = string.gsub(value, "[%c%s]", "")
  local scheme = string.match(plain, "^([^/?#:]*):")
  if scheme and not SCHEMES[string.lower(scheme)] then
    fail(
      where,
      key .. " has an address that begins with " .. inspect(scheme .. ":"),
      "an address begins with https:, http: or mailto:, or is relative"
    )
  end
end

local function attributes_of(given, where)
  local names = {}
  for key in next, given do
    if type(key) ~= "string" then
      fail(where, "the attributes are a table by names, but there is a key " .. inspect(key))
    end
    names[#names + 1] = key
  end
  table.sort(names)
  local pieces = {}
  for _, key in ipairs(names) do
    local value, lower = given[key], string.lower(key)
    if not string.find(key, "^[%a_][%w_.:-]*$") then
      fail(where, "there is no attribute " .. inspect(key))
    elseif string.find(lower, "^on") or lower == "srcdoc" then
      fail(where, "the attribute " .. key .. " can hold a program, which is not supported")
    end
    if value == true then
      pieces[#pieces + 1] = " " .. key
    elseif type(value) == "string" or type(value) == "number" then
      value = tostring(value)
      if ADDRESSES[lower] then
        check_address(value, key, where)
      end
      pieces[#pieces + 1] = " " .. key .. '="' .. host.html_escape(value) .. '"'
    elseif value ~= false then
      fail(where, key .. " must be text, a number, true or false, got a " .. type(value))
    end
  end
  return table.concat(pieces)
end

-- Returns true for a table of attributes: one with names, or an empty one.
local function are_attributes(value)
  return type(value) == "table" and not markup[value] and rawlen(value) == 0
end

--- Escapes text for HTML, also for attributes in quotes. Control characters are shown as `\x1b`.
---
--- ```lua
--- assert(html.escape('<a href="x">') == "&lt;a href=&quot;x&quot;&gt;")
--- ```
---@param s string
---@return string
function html.escape(s)
  if type(s) ~= "string" then
    fail("html.escape", "the text must be a string, got " .. type(s))
  end
  return host.html_escape(s)
end

--- Makes an element. The attributes may be left out. Children are texts, numbers, other elements,
--- and arrays of them; nil and false are left out. Texts and attributes are escaped.
---
--- Raises an argument error for what could run a program: the elements `script` and `style`,
--- attributes such as `onclick`, and addresses such as `javascript:…`.
---
--- ```lua
--- local link = html.element("a", { href = "https://example.com/?a=1&b=2" }, "more")
--- assert(tostring(link) == '<a href="https://example.com/?a=1&amp;b=2">more</a>')
--- assert(tostring(html.element("br")) == "<br>")
--- ```
---@param name string such as `"td"`
---@param attributes? table<string, string|number|boolean>|any or the first child
---@param ... any the children
---@return html.Fragment
function html.element(name, attributes, ...)
  local where = "html.element"
  if type(name) ~= "string" then
    fail(where, "the name must be a string, got " .. type(name))
  elseif not string.find(name, "^%a[%w-]*$") then
    fail(where, "there is no element " .. inspect(name))
  end
  name = string.lower(name)
  if UNSAFE[name] then
    fail(where, name .. " is not supported: its content cannot be escaped")
  end
  where = where .. ": " .. name
  local pieces = { "<" .. name }
  local has_attributes = are_attributes(attributes)
  if has_attributes then
    pieces[2] = attributes_of(attributes, where)
  end
  pieces[#pieces + 1] = ">"
  local before = #pieces
  if not has_attributes then
    add(pieces, attributes, where, 1)
  end
  local children = table.pack(...)
  for i = 1, children.n do
    add(pieces, children[i], where, 1)
  end
  if not VOID[name] then
    pieces[#pieces + 1] = "</" .. name .. ">"
  elseif #pieces > before then
    fail(where, "this element has no content")
  end
  return fragment(table.concat(pieces))
end

--- Makes a fragment of HTML text as it is, without escaping. Never use it with text of others.
---@param text string
---@return html.Fragment
function html.raw(text)
  if type(text) ~= "string" then
    fail("html.raw", "the HTML must be a string, got " .. type(text))
  end
  return fragment(text)
end

--- Parts of a page.
---@class (exact) html.Page
---@field title string the title, and first heading
---@field body? any text, elements, and arrays of them

--- Returns an HTML page in the style of `report.page`: a whole document that loads nothing from
--- elsewhere and runs no scripts. `fs.write` writes it into a file.
---
--- ```lua
--- local page = html.page {
---   title = "Profiles & roles",
---   body = { html.element("p", "Two profiles have no role.") },
--- }
--- print(page:match("<h1>.-</h1>")) --> <h1>Profiles &amp; roles</h1>
--- ```
---@param page html.Page
---@return string html the document
function html.page(page)
  local name = "html.page"
  if type(page) ~= "table" then
    fail(name, "the page must be a table, got " .. type(page))
  end
  host.check_options(name, page, { "title", "body" })
  if type(page.title) ~= "string" then
    fail(name, "title must be a string, got " .. type(page.title))
  end
  local pieces, body = {}, page.body
  if type(body) == "string" then
    pieces[1] = "<p>" .. host.html_escape(body) .. "</p>"
  else
    add(pieces, body, name, 1)
  end
  return host.html_framed(page.title, table.concat(pieces), require("time").now())
end

return html
