---@meta html
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- HTML: elements and pages whose text is escaped.
---
--- `report` writes rows as a page with `--output html`, and `report.page` makes pages of tables and
--- bars.
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
---@class html
html = {}

--- Piece of HTML, made by `html.element` or `html.raw`.
---
--- `tostring` and `..` make text of it.
---@class html.Fragment

--- Escapes text for HTML, also for attributes in quotes.
---
--- Control characters are shown as `\x1b`.
---
--- ```lua
--- assert(html.escape('<a href="x">') == "&lt;a href=&quot;x&quot;&gt;")
--- ```
---@param s string
---@return string
function html.escape(s) end

--- Makes an element.
---
--- The attributes may be left out. Children are texts, numbers, other elements, and arrays of them;
--- nil and false are left out. Texts and attributes are escaped.
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
function html.element(name, attributes, ...) end

--- Makes a fragment of HTML text as it is, without escaping.
---
--- Never use it with text of others.
---@param text string
---@return html.Fragment
function html.raw(text) end

--- Parts of a page.
---@class (exact) html.Page
---@field title string the title, and first heading
---@field body? any text, elements, and arrays of them

--- Returns an HTML page in the style of `report.page`: a whole document that loads nothing from
--- elsewhere and runs no scripts.
---
--- `fs.write` writes it into a file.
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
function html.page(page) end

return html
