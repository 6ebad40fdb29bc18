//! Help, man page and completions: from one definition, so that all of them name all of it.

use crate::device::run;

/// The commands that `--help` lists, and the hidden ones.
fn commands() -> Vec<String> {
    let help = run(&["--help"]).out;
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap().to_owned());
    let commands: Vec<String> = listed.chain(["completions".into(), "man".into()]).collect();
    assert!(commands.len() >= 22, "{commands:?}");
    commands
}

#[test]
fn every_command_has_help() {
    for command in commands() {
        for flag in ["-h", "--help"] {
            let outcome = run(&[&command, flag]);
            assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{command}");
            assert!(
                outcome.out.contains(&format!("Usage: vyomactl {command}")),
                "{}",
                outcome.out
            );
            let about = outcome.out.lines().next().unwrap();
            assert!(about.len() > 10, "{command}: {about}");
            assert!(outcome.out.contains("--target"), "{}", outcome.out);
        }
    }
}

#[test]
fn the_page_for_operators_names_every_command() {
    let page = include_str!("../../../docs/operating.md");
    for command in commands() {
        let names = |word: &str| word.split([' ', ',']).any(|word| word == command);
        assert!(page.split('`').any(names), "{command}");
    }
}

#[test]
fn every_option_and_argument_has_a_help_text() {
    for command in commands() {
        let help = run(&[&command, "--help"]).out;
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2) {
            let starts_option = pair[0].trim_start().starts_with('-') && !pair[0].contains(": ");
            if starts_option {
                let described =
                    pair[0].trim_start().contains("  ") || pair[1].starts_with("          ");
                assert!(described, "{command}: {}", pair[0]);
            }
        }
    }
}

#[test]
fn the_man_page_names_every_command_and_every_exit_code() {
    let page = run(&["man"]).out;
    let plain = page
        .replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fR", "");
    for command in commands() {
        assert!(
            plain.contains(&format!(".SS \"{command} "))
                || plain.contains(&format!(".SS {command}")),
            "{command}: {plain}"
        );
    }
    let (_, codes) = plain.split_once(".SH \"EXIT STATUS\"").unwrap();
    let help = run(&["--help"]).out;
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    assert!(table.lines().count() >= 18, "{table}");
    for line in table.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(codes.contains(&format!("{code}\n")), "{code}");
        let start: String = meaning.chars().take(20).collect();
        let start = start.replace('\'', "\\*(Aq");
        assert!(
            codes.contains(&start) || codes.contains(&start.replace("\\*(Aq", "'")),
            "{meaning}"
        );
    }
    for option in [
        "--since",
        "--keep-data",
        "--interval",
        "--target",
        "VYOMA_TARGET",
        "NO_COLOR",
    ] {
        assert!(plain.contains(option), "{option}");
    }
}

#[test]
fn completions_name_every_command_and_its_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = run(&["completions", shell]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{shell}");
        for word in commands()
            .iter()
            .map(String::as_str)
            .chain(["since", "keep-data"])
        {
            assert!(outcome.out.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, 2);
}

#[test]
fn help_and_version_need_no_device_and_no_command_is_a_mistake() {
    assert!(run(&["--version"]).out.starts_with("vyomactl "));
    let outcome = run(&[]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.err.contains("Usage: vyomactl"), "{}", outcome.err);
}
