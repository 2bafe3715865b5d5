//! Folders and patterns: no link and no pattern leads out of a granted folder.

use std::os::unix::fs::symlink;

use crate::commands::Desk;

#[test]
fn neither_links_nor_patterns_lead_out_of_a_granted_folder() {
    let desk = Desk::new();
    for folder in ["in/deep", "out"] {
        std::fs::create_dir_all(desk.path(folder)).expect("a folder");
    }
    desk.write("in/deep/own.txt", "x");
    desk.write("out/secret.txt", "x");
    let inside = desk.path("in");
    symlink(desk.path("out"), inside.join("link")).expect("a link");
    symlink(desk.path("out/secret.txt"), inside.join("file")).expect("a link");
    symlink(desk.path("nowhere"), inside.join("dangling")).expect("a link");
    symlink(&inside, inside.join("loop")).expect("a link");
    let refused = "
        for _, path in ipairs { 'out', 'in/../out/x', 'in/link/x', 'in/dangling', 'in/link' } do
          local _, err = try(fs.mkdir, path)
          assert(err and (err.kind == 'permission' or err.kind == 'io'), path)
        end
        assert(not fs.exists('in/deep/own.txt/x') and not fs.exists('in/none/../x'))
        for _, path in ipairs {
          'out/secret.txt', 'in/link/secret.txt', 'in/../out', 'in/file', 'out/secret.txt/x',
          'out/none/../x',
        } do
          local found, err = try(fs.exists, path)
          assert(found == nil and err.kind == 'permission', path)
        end
        for _, pattern in ipairs { 'out/*', 'in/../out/*', 'in/link/*', '../*', '/etc/*' } do
          local found, err = try(fs.glob, pattern)
          assert(found == nil and err.kind == 'permission', pattern)
        end
        for _, pattern in ipairs { 'in/*/secret.txt', 'in/**/secret.txt', 'in/l*/../out/*' } do
          assert(#fs.glob(pattern) == 0, pattern)
        end
        print(table.concat(fs.glob('in/**'), ' '))
    ";
    for mode in ["--plan", "--apply"] {
        let args = ["--allow-read=in", "--allow-write=in", mode, "-e", refused];
        let ran = desk.run(&args).ends(0, "");
        let found = format!("{}{}", ran.out, ran.err);
        assert!(found.contains("in/deep/own.txt"), "{ran:?}");
        assert!(!found.contains("secret"), "{ran:?}");
    }
    let names: Vec<_> = std::fs::read_dir(desk.path("out")).expect("a folder").collect();
    assert_eq!(names.len(), 1, "something was created: {names:?}");
    assert!(!desk.path("nowhere").exists());
}
