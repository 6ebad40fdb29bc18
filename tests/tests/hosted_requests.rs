//! `@supervisor:` requests under a hosted daemon: what every app may ask, and what it takes to ask for more.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::hosted::{HostedDaemon, Setup};

const PROFILE: &str = "server-headless";

/// A setup whose app `requests` makes these requests and has these further capabilities.
fn asking(requests: &[&str], capabilities: &str) -> Setup {
    Setup::new(PROFILE).app_as("requests", "requests", |text| {
        let args = format!("args = {requests:?}");
        text.replace("args = [\"platform\", \"ping\"]", &args)
            .replace("stdio = true", &format!("stdio = true\n{capabilities}"))
    })
}

/// What was answered to `request`.
fn answer(daemon: &HostedDaemon, request: &str) -> String {
    let line = daemon.wait_for_log("requests", &format!("{request} -> "));
    line.split_once(" -> ")
        .map(|(_, answer)| answer.to_string())
        .unwrap_or_default()
}

#[test]
fn every_app_may_ask_who_and_where_it_is_and_the_answers_come_in_order() {
    let requests = [
        "platform",
        "ping",
        "version",
        "uptime",
        "list",
        "memory-info",
        "clipboard-set some text",
        "clipboard-get",
        "clipboard-clear",
        "notify Title|words",
    ];
    let setup = asking(&requests, "").app("echo");
    let daemon = setup.start();
    daemon.wait_for_log("requests", "done");
    let of = |request: &str| answer(&daemon, request);
    assert_eq!(of("platform"), PROFILE);
    assert_eq!(of("ping"), "pong");
    assert_eq!(of("version"), daemon.info().version);
    assert!(of("uptime").parse::<u64>().is_ok());
    assert_eq!(of("list"), "echo|requests");
    assert!(of("memory-info").contains("available_kb:"));
    assert_eq!(of("clipboard-set some text"), "clipboard-set ok");
    assert_eq!(of("clipboard-get"), "clipboard:some text");
    assert_eq!(of("notify Title|words"), "notified");
    let told = daemon.events();
    assert!(
        told.iter()
            .any(|event| event.kind == "notification" && event.detail == "Title: words"),
        "{told:?}"
    );
}

#[test]
fn a_request_without_its_capability_is_refused_by_name_and_has_no_effect() {
    let requests = [
        "kill echo",
        "restart echo",
        "ps",
        "shutdown",
        "dns-resolve localhost",
        "http-get http://127.0.0.1/",
        "screen-size",
        "make-coffee",
    ];
    let setup = asking(&requests, "").app("echo");
    let daemon = setup.start();
    daemon.wait_for_log("requests", "done");
    let of = |request: &str| answer(&daemon, request);
    for (verb, request) in [
        ("kill", "kill echo"),
        ("restart", "restart echo"),
        ("ps", "ps"),
        ("shutdown", "shutdown"),
    ] {
        assert!(
            of(request).contains(&format!("{verb} needs capability shell")),
            "{}",
            of(request)
        );
    }
    assert!(of("dns-resolve localhost").contains("dns-resolve needs capability network"));
    assert!(of("http-get http://127.0.0.1/").contains("http-get needs capability network"));
    assert!(of("screen-size").contains("screen-size needs capability display"));
    assert!(of("make-coffee").contains("unknown request make-coffee"));
    let echo = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    assert_eq!(echo.restarts, 0);
}

#[test]
fn an_app_with_shell_may_operate_the_device() {
    let requests = [
        "status",
        "ps-raw",
        "log hello",
        "restart echo",
        "kill echo",
        "run hello",
        "kill nobody",
        "loglevel shout",
    ];
    let setup = asking(&requests, "shell = true").app("echo").app("hello");
    let daemon = setup.start();
    daemon.wait_for_log("requests", "done");
    let of = |request: &str| answer(&daemon, request);
    assert!(
        of("status").starts_with("{\"running\":"),
        "{}",
        of("status")
    );
    assert!(of("ps-raw").contains("requests:run:"), "{}", of("ps-raw"));
    assert_eq!(of("restart echo"), "restarted echo");
    assert_eq!(of("kill echo"), "killed echo");
    assert!(
        of("kill nobody").contains("no app \"nobody\""),
        "{}",
        of("kill nobody")
    );
    assert!(of("loglevel shout").contains("expected error, warn, info or debug"));
    daemon.wait_for_app("echo", "to be stopped", |app| app.phase == Phase::Stopped);
}

#[test]
fn an_app_with_network_may_have_names_looked_up_and_pages_fetched() {
    let server = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = server.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in server.incoming() {
            let Ok(mut client) = client else { return };
            // The request is short and comes in one piece; its text does not matter.
            let _ = client.read(&mut [0; 1024]);
            let page = "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nfirst\nsecond";
            let _ = client.write_all(page.as_bytes());
        }
    });
    let get = format!("http-get http://127.0.0.1:{port}/page");
    let requests = [
        "dns-resolve localhost",
        "dns-resolve no-such-host.invalid",
        get.as_str(),
        "http-get https://127.0.0.1/",
    ];
    let setup = asking(&requests, "network = true");
    let daemon = setup.start();
    daemon.wait_for_log("requests", "done");
    let of = |request: &str| answer(&daemon, request);
    let local = of("dns-resolve localhost");
    assert!(
        local == "dns localhost 127.0.0.1" || local == "dns localhost ::1",
        "{local}"
    );
    assert_eq!(
        of("dns-resolve no-such-host.invalid"),
        "dns no-such-host.invalid NXDOMAIN"
    );
    assert_eq!(of(&get), "http-get 404 first second");
    assert!(of("http-get https://127.0.0.1/").contains("expected http://"));
}
