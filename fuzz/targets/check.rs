#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| iamlua::fuzzing::run("check", data));
