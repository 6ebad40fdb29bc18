//! Apps in an OCI registry: `vyomactl push` and `install oci://...` against a real registry (Debian's docker-registry) on this
//! machine, and a hosted daemon.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::hosted::{Setup, copy_app, wait_for};

/// A registry that runs; dropping it ends it.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            folder.join("registry").display()
        );
        fs::write(&config, text).expect("a configuration");
        let child = Command::new(from_make_test("VYOMA_REGISTRY_BIN"))
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start docker-registry; `cargo xtask setup` fetches it");
        wait_for("the registry", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port }
    }

    fn reference(&self, rest: &str) -> String {
        format!("oci://127.0.0.1:{}/{rest}", self.port)
    }

    /// One HTTP exchange, as the least of all clients has it: status and body.
    fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the registry");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("write");
        stream.write_all(body).expect("write");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head[9..12].parse().expect("a status");
        (status, head, answer[end + 4..].to_vec())
    }

    fn manifest(&self, name: &str, tag: &str) -> Value {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";
        let (status, _, body) =
            self.http("GET", &format!("/v2/{name}/manifests/{tag}"), accept, &[]);
        assert_eq!(status, 200);
        serde_json::from_slice(&body).expect("JSON")
    }

    fn put_manifest(&self, name: &str, tag: &str, manifest: &Value) {
        let media = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        let body = serde_json::to_vec(manifest).expect("JSON");
        let (status, head, _) =
            self.http("PUT", &format!("/v2/{name}/manifests/{tag}"), media, &body);
        assert_eq!(status, 201, "{head}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn app(setup: &Setup, version: &str) -> PathBuf {
    let folder = setup.scratch().join("app");
    copy_app("echo", &folder, "app", |text| {
        text.replace("0.1.0", version)
    });
    folder
}

fn vyomactl(arguments: &[&str]) -> Output {
    Command::new(from_make_test("VYOMACTL_BIN"))
        .args(arguments)
        .output()
        .expect("run vyomactl")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(&Sha256::digest(bytes).into()))
}

#[test]
fn an_app_is_pushed_as_the_standard_wasm_artifact_and_installed_from_the_registry() {
    let setup = Setup::new("server-headless");
    let daemon = setup.start();
    let registry = Registry::start(setup.scratch());
    let package = app(&setup, "1.2.3");
    let key = setup.scratch().join("release.key").display().to_string();
    let path = package.display().to_string();
    for arguments in [&["key", "new", &key][..], &["sign", &path, "--key", &key]] {
        assert!(vyomactl(arguments).status.success());
    }
    daemon.ctl_ok(&["key", "trust", &key.replace(".key", ".pub")]);
    daemon.ctl_ok(&["key", "require", "on"]);
    let reference = registry.reference("team/app:1.2.3");
    let pushed = vyomactl(&["push", &path, &reference, "--output", "json"]);
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(pushed.status.success(), "{said}");
    let pushed: Value = serde_json::from_slice(&pushed.stdout).expect("JSON");
    // As the layout of wasm artifacts wants it, so that other tools can pull it.
    let manifest = registry.manifest("team/app", "1.2.3");
    let component = fs::read(package.join("echo.wasm")).expect("a component");
    assert_eq!(
        (&manifest["config"]["mediaType"], &manifest["layers"]),
        (
            &json!("application/vnd.wasm.config.v0+json"),
            &json!([{"mediaType": "application/wasm", "digest": digest(&component), "size": component.len()}])
        )
    );
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    let (_, _, config) = registry.http("GET", &format!("/v2/team/app/blobs/{config}"), "", &[]);
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(
        (
            &config["architecture"],
            &config["os"],
            &config["layerDigests"]
        ),
        (
            &json!("wasm"),
            &json!("wasip2"),
            &json!([digest(&component)])
        )
    );
    assert!(
        config["component"]["imports"]
            .as_array()
            .is_some_and(|imports| !imports.is_empty())
    );
    daemon.ctl_ok(&["install", &reference]);
    let running = daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    assert_eq!(
        (
            running.version.as_str(),
            format!("sha256:{}", running.sha256)
        ),
        ("1.2.3", digest(&component))
    );
    // By digest, too: what it names is what comes.
    let by_digest = pushed["digest"].as_str().expect("a digest");
    daemon.ctl_ok(&[
        "install",
        &registry.reference(&format!("team/app@{by_digest}")),
    ]);
    // The same app once more is the same artifact.
    let again = vyomactl(&[
        "push",
        &path,
        &registry.reference("team/app:again"),
        "--output",
        "json",
    ]);
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["digest"], pushed["digest"]);
}

#[test]
fn what_is_no_app_or_other_bytes_than_it_says_is_refused_by_name() {
    let setup = Setup::new("server-headless");
    let daemon = setup.start();
    let registry = Registry::start(setup.scratch());
    let package = app(&setup, "1.0.0");
    let path = package.display().to_string();
    let good = registry.reference("app:good");
    assert!(vyomactl(&["push", &path, &good]).status.success());
    let (code, said) = daemon.ctl_fails(&["install", &registry.reference("app:none")]);
    assert!(code == 4 && said.contains("no such thing"), "{code} {said}");
    // As another tool would have made it: without a vyoma.toml.
    let mut plain = registry.manifest("app", "good");
    plain["annotations"] = json!({});
    registry.put_manifest("app", "plain", &plain);
    let reference = registry.reference("app:plain");
    let (code, said) = daemon.ctl_fails(&["install", &reference]);
    assert!(
        code == 4 && said.contains("--manifest FILE"),
        "{code} {said}"
    );
    let manifest = package.join("vyoma.toml").display().to_string();
    daemon.ctl_ok(&["install", &reference, "--manifest", &manifest]);
    let mut other = registry.manifest("app", "good");
    other["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    registry.put_manifest("app", "image", &other);
    let (code, said) = daemon.ctl_fails(&["install", &registry.reference("app:image")]);
    assert!(
        code == 4 && said.contains("expected a wasm component"),
        "{code} {said}"
    );
    // A registry whose disk rots: the bytes behind the digest are others.
    let component = fs::read(package.join("echo.wasm")).expect("a component");
    let digits = digest(&component);
    let digits = digits.strip_prefix("sha256:").expect("a digest");
    let blob = setup
        .scratch()
        .join("registry/docker/registry/v2/blobs/sha256");
    let blob = blob.join(&digits[..2]).join(digits).join("data");
    let mut rotten = component.clone();
    rotten[100] ^= 1;
    fs::write(&blob, rotten).expect("other bytes");
    let (code, said) = daemon.ctl_fails(&["install", &good]);
    assert!(code == 5 && said.contains(digits), "{code} {said}");
    drop(registry);
    let (code, said) = daemon.ctl_fails(&["install", &good]);
    assert!(
        code == 10 && said.contains("cannot reach the registry"),
        "{code} {said}"
    );
}
