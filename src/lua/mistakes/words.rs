//! Names that scripts use by habit, with the name or construct that Lua or this program has.

/// Values of other languages.
pub(super) const VALUES: &[(&[&str], &str)] = &[
    (&["null", "None", "NULL", "Nil", "undefined"], "in Lua it is nil"),
    (&["True", "TRUE"], "in Lua it is true"),
    (&["False", "FALSE"], "in Lua it is false"),
];

/// Other globals of other languages.
pub(super) const GLOBALS: &[(&[&str], &str)] = &[
    (&["console"], "print(…) prints a line"),
    (&["JSON", "Json"], "json.encode and json.decode are for JSON"),
    (&["argv", "args", "ARGV"], "the words of the command line are in arg[1], arg[2], …"),
    (&["ENV", "environ"], "os.getenv(\"NAME\") reads a variable, with --allow-env"),
    (&["sys"], "the words of the command line are in arg, and os.exit ends the script"),
    (&["boto3", "aws", "AWS"], "the calls to AWS are in iam, such as iam.profiles.get"),
    (&["bit32", "bit"], "Lua has operators for bits: & | ~ << >>"),
    (&["self"], "self is there only in a function that is defined and called with `:`"),
];

/// Prefixes of texts in other languages.
pub(super) const TEXT_PREFIXES: &[(&[&str], &str)] = &[
    (&["f", "F"], "string.format(\"%s has %d\", a, b) puts values into a text; a .. b joins texts"),
    (&["r", "R"], "[[…]] is a text without escape sequences"),
];

/// Functions of other languages and of earlier versions of Lua.
pub(super) const FUNCTIONS: &[(&[&str], &str)] = &[
    (&["len", "strlen", "count", "sizeof"], "#x is the length of a list or text"),
    (&["printf", "println", "puts", "echo"], "print(…) prints a line"),
    (&["str", "toString", "String"], "tostring(x) makes text of a value"),
    (&["int", "float", "Number", "parseInt"], "tonumber(x) makes a number of text"),
    (&["sleep", "wait"], "time.sleep(\"1s\") waits"),
    (&["throw", "raise", "die"], "error(\"text\") raises an error; try(f, …) catches one"),
    (&["exit", "quit"], "os.exit(code) ends the script"),
    (&["range"], "for i = 1, 10 do … end counts"),
    (&["unpack"], "since Lua 5.2 it is table.unpack"),
    (&["loadstring"], "since Lua 5.2 it is load"),
    (&["setfenv", "getfenv"], "since Lua 5.2 load takes the environment as its fourth argument"),
    (&["module"], "a module is a file that returns a table; require(\"name\") loads it"),
    (
        &["dofile", "loadfile", "import", "include"],
        "require(\"name\") loads name.lua, beside the script",
    ),
    (&["getenv"], "os.getenv(\"NAME\") reads a variable, with --allow-env"),
];

/// Functions of other languages, or of earlier versions, in Lua's own libraries.
pub(super) const LIBRARY_FIELDS: &[((&str, &[&str]), &str)] = &[
    (("string", &["trim", "strip"]), "text.trim(s) is s without the space around it"),
    (("string", &["split"]), "text.split(s, \",\") takes a text apart at commas"),
    (("string", &["gfind"]), "since Lua 5.1 it is string.gmatch"),
    (("string", &["contains", "includes"]), "text.contains(s, part) finds a text in another"),
    (
        ("string", &["startswith", "starts_with"]),
        "text.starts_with(s, start) compares the beginning",
    ),
    (("string", &["endswith", "ends_with"]), "text.ends_with(s, ending) compares the end"),
    (("string", &["length", "size"]), "#s is the length in bytes"),
    (("string", &["replace"]), "text.replace(s, pattern, with) replaces, by a regular expression"),
    (("string", &["concat", "join"]), "a .. b joins two texts, table.concat(list, \", \") a list"),
    (("table", &["length", "size", "count", "getn", "maxn"]), "#list is the length of a list"),
    (
        ("table", &["contains", "includes", "has", "indexof", "find"]),
        "compare each element: for _, x in ipairs(list) do if x == wanted then … end end",
    ),
    (("table", &["append", "push", "add"]), "table.insert(list, value) appends"),
    (("table", &["pop"]), "table.remove(list) removes the last element, and returns it"),
    (("table", &["join"]), "table.concat(list, \", \") joins a list of texts"),
    (("table", &["keys", "foreach", "foreachi"]), "for key, value in pairs(t) do … end"),
    (("math", &["pow"]), "it is an operator: x ^ y"),
    (("math", &["round"]), "math.floor(x + 0.5) rounds"),
    (("os", &["sleep"]), "time.sleep(\"1s\") waits"),
];

/// Methods of texts in other languages.
pub(super) const TEXT_METHODS: &[(&[&str], &str)] = &[
    (&["trim", "strip"], "text.trim(s) is a text without the space around it"),
    (&["split"], "text.split(s, \",\") takes a text apart at commas"),
    (&["contains", "includes", "indexOf"], "text.contains(s, part) finds a text in another"),
    (&["startswith", "startsWith", "starts_with"], "text.starts_with(s, start) compares the start"),
    (&["endswith", "endsWith", "ends_with"], "text.ends_with(s, ending) compares the end"),
    (&["length", "size"], "#x is the length of a text or list"),
    (&["replace"], "text.replace(s, pattern, with) replaces in a text"),
    (&["toUpperCase", "uppercase"], "s:upper() makes capital letters"),
    (&["toLowerCase", "lowercase"], "s:lower() makes small letters"),
    (&["append", "push", "add"], "table.insert(list, value) appends to a list"),
    (&["pop"], "table.remove(list) removes the last element of a list"),
    (&["join"], "table.concat(list, \", \") joins a list of texts"),
    (&["format"], "string.format(\"%s\", x) puts values into a text"),
];

/// Fields of the program's own modules that are called otherwise.
pub(super) const MODULE_FIELDS: &[((&str, &str), &str)] = &[
    (("json", "parse"), "json.decode(text) reads JSON"),
    (("json", "loads"), "json.decode(text) reads JSON"),
    (("json", "stringify"), "json.encode(value) writes JSON"),
    (("json", "dumps"), "json.encode(value) writes JSON"),
    (("csv", "read"), "csv.decode(fs.read(path)) reads a file"),
    (("csv", "load"), "csv.decode(fs.read(path)) reads a file"),
    (("csv", "parse"), "csv.decode(text) reads CSV"),
    (("csv", "write"), "fs.write(path, csv.encode(rows)) writes a file"),
    (("json", "read"), "json.decode(fs.read(path)) reads a file"),
    (("json", "load"), "json.decode(fs.read(path)) reads a file"),
    (("json", "write"), "fs.write(path, json.encode(value)) writes a file"),
    (("log", "warning"), "it is log.warn"),
    (("log", "err"), "it is log.error"),
    (("time", "wait"), "time.sleep(\"1s\") waits"),
    (("time", "time"), "time.epoch() is the number of seconds since 1970, time.now() a text"),
    (("process", "exec"), "process.run(program, { arguments }) runs a program"),
    (("process", "spawn"), "process.run(program, { arguments }) runs a program"),
    (("fs", "open"), "fs.read(path) and fs.write(path, text) take whole files; io.open opens one"),
    (("bulk", "run"), "bulk.each(items, function(item) … end) does something for each item"),
    (("iam", "profile"), "did you mean iam.profiles?"),
    (("iam", "role"), "did you mean iam.roles?"),
    (("iam", "instance_profiles"), "it is iam.profiles"),
    (("iam.profiles", "describe"), "iam.profiles.get(name) describes one"),
    (("iam.profiles", "set_tags"), "iam.profiles.tag(name, { Key = \"value\" }) sets tags"),
    (("iam.profiles", "add_tags"), "iam.profiles.tag(name, { Key = \"value\" }) sets tags"),
    (("iam.profiles", "remove_tags"), "iam.profiles.untag(name, { \"Key\" }) removes tags"),
];

/// Modules of `LuaRocks`, with what takes their place.
pub(super) const MODULES: &[(&[&str], &str)] = &[
    (
        &["cjson", "cjson.safe", "dkjson", "rapidjson", "lunajson"],
        "json.encode and json.decode are \
     for JSON, without require",
    ),
    (
        &["lfs", "posix", "luv"],
        "fs.read, fs.write and fs.list are for files, process.run for \
     programs",
    ),
    (&["socket"], "scripts have no sockets; time.sleep(\"1s\") waits, and iam calls AWS"),
    (&["argparse", "pl.lapp", "cliargs"], "runbook { params = … } reads the options of a script"),
    (&["luaunit", "busted"], "`iamlua test` runs tests: `iamlua doc testing`"),
];

/// Fields in AWS's documents, and those of the records here.
pub(super) const AWS_FIELDS: &[(&[&str], &str)] = &[
    (&["InstanceProfileName", "RoleName", "PolicyName"], "name"),
    (&["InstanceProfileId", "RoleId"], "id"),
    (&["Arn", "ARN", "PolicyArn"], "arn"),
    (&["Path"], "path"),
    (&["CreateDate"], "create_date"),
    (&["Tags"], "tags"),
    (&["Roles"], "roles"),
    (&["AssumeRolePolicyDocument"], "assume_role_policy"),
    (&["Description"], "description"),
    (&["MaxSessionDuration"], "max_session_duration"),
    (&["PermissionsBoundary"], "permissions_boundary"),
    (&["IsTruncated"], "is_truncated"),
    (&["Marker"], "marker"),
];

/// Outer elements of AWS's answers, which the results here do not have.
pub(super) const AWS_ANSWERS: &[&str] = &["InstanceProfile", "InstanceProfiles", "Role"];

/// Functions whose result is nil if there is nothing to return, with the case.
pub(super) const RETURN_NIL: &[(&str, &str)] = &[
    ("match", "match returns nil if the text does not match"),
    ("find", "find returns nil if there is no match"),
    ("getenv", "os.getenv returns nil for a variable that is not set"),
    ("open", "io.open returns nil and the problem if it cannot open the file"),
    ("tonumber", "tonumber returns nil for a text that is no number"),
    ("try", "try returns nil and the error if the function fails"),
];

/// Advice for constructs, which errors at run time and findings of `iamlua check` share.
pub const TRY: &str =
    "try(f, …) calls f with the arguments; it returns nil and the error if f fails";
pub const LOOP_OVER_PAGE: &str =
    "list() returns one page, a table; for p in iam.profiles.each() do goes through all";
pub const LOOP_OVER_TABLE: &str =
    "a table is no iterator: for _, x in ipairs(list) do, or for key, x in pairs(map) do";
pub const IPAIRS_OF_ITERATOR: &str =
    "ipairs takes a list; an iterator stands in the loop itself: for p in iam.profiles.each() do";
pub const LENGTH_OF_FUNCTION: &str = "a function has no length: count what an iterator \
                                             gives in a loop, or use #list of a list, such as a \
                                             page of iam.profiles.list()";
pub const WITHOUT_TAGS: &str = "a profile from a listing has no tags: iam.profiles.each { \
                                       with_tags = true } loads them, iam.profiles.tags(name) \
                                       those of one";
pub const NUMBER_OF_TEXT: &str = "tonumber(text) makes a number of a text";
pub const ADDED_TEXTS: &str = "+ adds numbers; .. joins texts: \"a\" .. b";

/// Entry for a name in one of these tables.
pub(super) fn advice<'a>(table: &[(&[&str], &'a str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, advice)| *advice)
}
