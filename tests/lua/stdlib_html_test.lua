-- Tests of html: what is text stays text, and what could run a program is refused.

local function refuses(part, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument", err.kind)
  assert(err.message:find(part, 1, true), err.message)
end

local function is(fragment, markup)
  assert(tostring(fragment) == markup, tostring(fragment))
end

it("texts and attributes are escaped", function()
  is(html.element("p", "<b> & '\"\27"), "<p>&lt;b&gt; &amp; &#39;&quot;\\x1b</p>")
  is(
    html.element("td", { class = 'a"b', colspan = 2, hidden = true, id = false }, 5, true),
    '<td class="a&quot;b" colspan="2" hidden>5true</td>'
  )
  is(
    html.element("P", {}, html.element("b", "x"), nil, false, { "y", { "z" } }),
    "<p><b>x</b>yz</p>"
  )
  is(html.element("p", { "a", html.raw("<i>b</i>") }), "<p>a<i>b</i></p>")
  is(html.element("img", { src = "a.png", alt = "" }), '<img alt="" src="a.png">')
  is(html.element("p", tostring(html.element("b"))), "<p>&lt;b&gt;&lt;/b&gt;</p>")
  assert(html.escape("\0\u{202e}<") == "\\x00\\u{202e}&lt;")
  assert(html.element("b", "x") .. "!" == "<b>x</b>!")
end)

it("what could run a program is refused", function()
  for _, name in ipairs { "script", "STYLE", "iframe" } do
    refuses("is not supported", html.element, name, "x")
  end
  for _, key in ipairs { "onclick", "OnLoad", "srcdoc" } do
    refuses("can hold a program", html.element, "p", { [key] = "x" })
  end
  for _, address in ipairs {
    "javascript:x",
    " JaVa\nScript:x",
    "\1javascript:x",
    "data:text/html,x",
    "vbscript:x",
  } do
    refuses("has an address that begins with", html.element, "a", { href = address })
  end
  for _, address in ipairs { "https://x/?a:b", "a/b:c", "#x:y", "mailto:a@b", "?x:y", "/x" } do
    html.element("a", { href = address })
  end
  refuses("there is no element", html.element, "p onclick=x")
  refuses("there is no element", html.element, "")
  refuses("there is no attribute", html.element, "p", { ["a b"] = "x" })
end)

it("fragments cannot be changed or forged", function()
  local b = html.element("b", "x")
  assert(getmetatable(b) == false)
  assert(not pcall(setmetatable, b, {}))
  b[1] = "<script>"
  is(html.element("p", b), "<p><b>x</b></p>")
  refuses("named fields", html.element, "p", "a", { markup = "<script>" })
end)

it("wrong values are refused", function()
  refuses("the name must be a string, got nil", html.element)
  refuses(
    "html.element: p: a child must be text or an element, got a function",
    html.element,
    "p",
    print
  )
  refuses("there is a key 1.5", html.element, "p", { [1.5] = "x" }, "y")
  refuses(
    "class must be text, a number, true or false, got a table",
    html.element,
    "p",
    { class = {} }
  )
  refuses("this element has no content", html.element, "br", "x")
  local loop = {}
  loop[1] = loop
  refuses("holds itself", html.element, "p", loop)
  refuses("html.escape: the text must be a string, got nil", html.escape)
  refuses("html.raw: the HTML must be a string", html.raw, {})
end)

it("a page is a whole document", function()
  local page = html.page { title = "<T>", body = { html.element("p", "1 < 2"), "plain" } }
  assert(page:find("<!DOCTYPE html>", 1, true) == 1 and page:find("<h1>&lt;T&gt;</h1>", 1, true))
  assert(page:find("<p>1 &lt; 2</p>plain", 1, true), page)
  assert(page:find("Content-Security-Policy", 1, true))
  assert(html.page({ title = "x", body = "<y>" }):find("<p>&lt;y&gt;</p>", 1, true))
  assert(html.page { title = "x" })
  refuses("title must be a string, got nil", html.page, {})
  refuses("the page must be a table, got string", html.page, "x")
  refuses("no option", html.page, { title = "x", boddy = "" })
end)
