//! What containers of both images answer when they are asked the same.
//!
//! A container is started without a network unless one is asked for, with
//! limits, and with a name and a label of ours; whatever happens it is
//! removed. No port of the machine is taken: the question comes from a second
//! container, of the image before, in the first one's network.

use std::time::{Duration, Instant};

use super::builder::Builder;
use super::failure::Failure;
use super::process::Stop;
use super::secrets::Secrets;

/// The label of our containers; its value is our process.
pub const LABEL: &str = "dfmigrate.verify";

/// How long one call to the engine may take beside what the container does.
const SLACK: Duration = Duration::from_secs(60);

/// The most of an answer that is kept, in characters.
const KEPT: usize = 64 * 1024;

/// How to start the containers and what to ask them.
#[derive(Clone, Debug)]
pub struct Question {
    /// The port that the service listens on; without one the container's
    /// output and exit status are the answer.
    pub port: Option<u16>,
    /// The path of the HTTP request.
    pub path: String,
    /// The user's own check, a line for `sh` in the container.
    pub check: Option<String>,
    /// How long to wait for an answer, or for the container to end.
    pub time: Duration,
    /// Variables, `NAME=VALUE` or `NAME`.
    pub env: Vec<String>,
    /// A command instead of CMD.
    pub command: Vec<String>,
    /// The network.
    pub network: String,
    /// The most memory.
    pub memory: String,
    /// Wait for the HEALTHCHECK, which the image has.
    pub health: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What a machine compares: status and type of an HTTP answer, exit
    /// status, outcome of the health check and of the user's own check.
    pub firm: Vec<String>,
    /// What may differ from one run to the next: bodies and output.
    pub text: String,
    /// What the container wrote, for the search for a cause.
    pub log: Vec<String>,
    /// It did what it is for: it answered, or it ended with status 0.
    pub fine: bool,
}

/// Removes a container when it goes out of scope.
struct Running<'b> {
    builder: &'b Builder,
    name: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        remove(self.builder, &[&self.name]);
    }
}

fn remove(builder: &Builder, names: &[&str]) {
    let mut args = vec!["rm", "--force", "--volumes"];
    args.extend(names);
    // Cleaning up goes on when the user stopped the rest.
    let _ = builder.call(&args, SLACK, Some(&Stop::default()));
}

/// Removes containers that runs left behind which were killed. Returns how
/// many there were.
pub fn sweep(builder: &Builder) -> usize {
    if !builder.runs() {
        return 0;
    }
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let filter = format!("label={LABEL}");
    let args = ["ps", "--all", "--filter", &filter, "--format", &format];
    let Ok(lines) = builder.quick(&args) else {
        return 0;
    };
    let dead: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(_, process)| {
            let number = process.parse::<u32>().is_ok();
            number && !std::path::Path::new("/proc").join(process).exists()
        })
        .map(|(id, _)| id)
        .collect();
    if !dead.is_empty() {
        remove(builder, &dead);
    }
    dead.len()
}

/// The script that asks: tries for a second and a half, with whichever HTTP
/// client the image has. Prints the body, then status and type on a line.
fn script(url: &str) -> String {
    format!(
        r#"u='{url}'
if command -v curl >/dev/null 2>&1; then ask() {{ curl -sS -m 10 -w '\n%{{http_code}} %{{content_type}}' "$u"; }}
elif command -v python3 >/dev/null 2>&1; then ask() {{ python3 -c 'import sys,urllib.request as r,urllib.error as e
try: a=r.urlopen(sys.argv[1],timeout=10)
except e.HTTPError as x: a=x
b=a.read(); sys.stdout.buffer.write(b+("\n%d %s"%(a.status,a.headers.get("content-type") or "")).encode())' "$u"; }}
elif command -v node >/dev/null 2>&1; then ask() {{ node -e 'require("http").get(process.argv[1],r=>{{let b="";r.on("data",d=>b+=d);r.on("end",()=>console.log(b+"\n"+r.statusCode+" "+(r.headers["content-type"]||"")))}}).on("error",()=>process.exit(7))' "$u"; }}
elif command -v wget >/dev/null 2>&1; then ask() {{ wget -q -T 10 -O - "$u" && printf '\n200 '; }}
else exit 95; fi
for i in 1 2 3 4 5; do if out=$(ask 2>/dev/null); then printf '%s\n' "$out"; exit 0; fi; sleep 0.3; done
exit 96"#
    )
}

/// Starts a container of `image`, asks it, and removes it. `asker` is the
/// image that the question comes from.
///
/// # Errors
/// The engine fails, or the question can't be asked at all.
pub fn ask(
    builder: &Builder,
    image: &str,
    asker: &str,
    name: &str,
    question: &Question,
    secrets: &Secrets,
) -> Result<Answer, Failure> {
    let label = format!("{LABEL}={}", std::process::id());
    let mut args: Vec<&str> = vec!["run", "--detach", "--name", name, "--label", &label];
    args.extend(["--network", &question.network, "--memory", &question.memory]);
    args.extend(["--pids-limit", "1024"]);
    let needed = builder.run_flags(asker)?;
    args.extend(needed.iter().map(String::as_str));
    for pair in &question.env {
        args.extend(["--env", pair]);
    }
    if question.health {
        args.extend(["--health-interval", "1s"]);
    }
    args.push(image);
    args.extend(question.command.iter().map(String::as_str));
    let container = Running {
        builder,
        name: name.to_owned(),
    };
    let (code, lines) = builder.call(&args, SLACK, None)?;
    let mut answer = Answer {
        firm: Vec::new(),
        text: String::new(),
        log: Vec::new(),
        fine: false,
    };
    if code != Some(0) {
        // The engine itself says that the command is not there.
        answer.log = lines.iter().map(|line| secrets.hide(line)).collect();
        answer.firm.push("it does not start".to_owned());
        return Ok(answer);
    }
    let until = Instant::now() + question.time;
    match question.port {
        Some(port) => request(
            builder,
            asker,
            &container,
            port,
            question,
            until,
            &mut answer,
        )?,
        // A check of the user's own needs no more than a moment to start.
        None if question.check.is_some() => std::thread::sleep(Duration::from_secs(1)),
        None => wait(builder, &container, until, question, &mut answer)?,
    }
    if question.health {
        health(builder, &container, until, &mut answer)?;
    }
    if let Some(check) = &question.check {
        own_check(builder, image, &container, check, question, &mut answer)?;
    }
    let (_, lines) = builder.call(&["logs", "--tail", "400", name], SLACK, None)?;
    answer.log.extend(lines);
    for line in &mut answer.log {
        *line = secrets.hide(line);
    }
    if question.port.is_none() && question.check.is_none() {
        let output = answer.log.join("\n");
        answer.text = cut(&output);
    }
    answer.text = secrets.hide(&answer.text);
    Ok(answer)
}

fn cut(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

/// The state of a container: whether it runs, and its exit status.
fn state(builder: &Builder, container: &Running<'_>) -> Result<(bool, String), Failure> {
    let format = "{{.State.Running}} {{.State.ExitCode}}";
    let lines = builder.quick(&["inspect", "--format", format, &container.name])?;
    let line = lines.first().map_or("", |line| line.trim());
    let (running, code) = line.split_once(' ').unwrap_or(("false", "?"));
    Ok((running == "true", code.to_owned()))
}

fn request(
    builder: &Builder,
    asker: &str,
    container: &Running<'_>,
    port: u16,
    question: &Question,
    until: Instant,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let path = question.path.trim_start_matches('/').replace('\'', "%27");
    let script = script(&format!("http://127.0.0.1:{port}/{path}"));
    let network = format!("container:{}", container.name);
    let name = format!("{}-ask", container.name);
    let label = format!("{LABEL}={}", std::process::id());
    let mut args = vec!["run", "--rm", "--name", &name, "--label", &label];
    args.extend(["--network", &network]);
    let needed = builder.run_flags(asker)?;
    args.extend(needed.iter().map(String::as_str));
    args.extend(["--entrypoint", "/bin/sh", asker, "-c", &script]);
    loop {
        let _asking = Running {
            builder,
            name: name.clone(),
        };
        match builder.call(&args, SLACK, None)? {
            (Some(0), mut lines) => {
                let status = lines.pop().unwrap_or_default();
                answer.fine = status.starts_with(['2', '3']);
                // Types and character sets are the same in either case (RFC 9110, 8.3).
                let status = status.trim().to_ascii_lowercase();
                answer.firm.push(format!("HTTP {status}"));
                answer.text = cut(&lines.join("\n"));
                return Ok(());
            }
            (Some(95), _) => {
                return Err(Failure::Other(
                    "the image before has no curl, wget, python3 or node to ask with: use --check-cmd".into(),
                ));
            }
            _ => {}
        }
        let (running, code) = state(builder, container)?;
        if !running {
            answer
                .firm
                .push(format!("it ended with status {code} before it answered"));
            return Ok(());
        }
        if Instant::now() > until {
            answer.firm.push(format!(
                "no answer on port {port} within {} s",
                question.time.as_secs()
            ));
            return Ok(());
        }
    }
}

fn wait(
    builder: &Builder,
    container: &Running<'_>,
    until: Instant,
    question: &Question,
    answer: &mut Answer,
) -> Result<(), Failure> {
    loop {
        let (running, code) = state(builder, container)?;
        if !running {
            answer.fine = code == "0";
            answer.firm.push(format!("exit status {code}"));
            return Ok(());
        }
        // With a health check it is a service, which does not end.
        if question.health {
            answer.fine = true;
            return Ok(());
        }
        if Instant::now() > until {
            answer.fine = true;
            let seconds = question.time.as_secs();
            answer.firm.push(format!("it still runs after {seconds} s"));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn health(
    builder: &Builder,
    container: &Running<'_>,
    until: Instant,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let format = "{{if .State.Health}}{{.State.Health.Status}}{{end}}";
    loop {
        let lines = builder.quick(&["inspect", "--format", format, &container.name])?;
        let status = lines.first().map_or("", |line| line.trim()).to_owned();
        let settled = status == "healthy" || status == "unhealthy";
        if settled || status.is_empty() || Instant::now() > until {
            answer.fine &= status == "healthy";
            answer.firm.push(format!("health: {status}"));
            if status != "healthy" {
                let format = "{{range .State.Health.Log}}{{.Output}}\n{{end}}";
                let said = builder.quick(&["inspect", "--format", format, &container.name]);
                answer.log.extend(said.unwrap_or_default());
            }
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The user's own check: in the container where it still runs, else in a new
/// one of the same image.
fn own_check(
    builder: &Builder,
    image: &str,
    container: &Running<'_>,
    check: &str,
    question: &Question,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let (running, _) = state(builder, container)?;
    let (code, lines) = if running {
        let args = ["exec", &container.name, "/bin/sh", "-c", check];
        builder.call(&args, question.time, None)?
    } else {
        let name = format!("{}-check", container.name);
        let label = format!("{LABEL}={}", std::process::id());
        let _checking = Running {
            builder,
            name: name.clone(),
        };
        let mut args = vec!["run", "--name", &name, "--label", &label, "--network"];
        args.extend([question.network.as_str(), "--memory", &question.memory]);
        args.extend(builder.run_flags(image)?.iter().map(String::as_str));
        for pair in &question.env {
            args.extend(["--env", pair]);
        }
        args.extend(["--entrypoint", "/bin/sh", image, "-c", check]);
        builder.call(&args, question.time, None)?
    };
    let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    answer.fine = code == "0";
    answer.firm.push(format!("--check-cmd: exit status {code}"));
    answer.log.extend(lines.iter().cloned());
    if answer.text.is_empty() {
        answer.text = cut(&lines.join("\n"));
    }
    Ok(())
}

/// Why two answers are not the same, or nothing. `again` asks the image before
/// once more: what differs there from one run to the next proves nothing.
///
/// # Errors
/// The question could not be asked again.
pub fn differ(
    before: &Answer,
    after: &Answer,
    again: impl FnOnce() -> Result<Answer, Failure>,
) -> Result<Compared, Failure> {
    if before.firm != after.firm {
        return Ok(Compared::Differs(format!(
            "before: {}; after: {}",
            before.firm.join(", "),
            after.firm.join(", ")
        )));
    }
    // Two streams of output arrive in any order.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    if sorted(&before.text) == sorted(&after.text) {
        return Ok(Compared::Same);
    }
    if again()?.text != before.text {
        return Ok(Compared::Varies);
    }
    let (old, new) = first_difference(&before.text, &after.text);
    Ok(Compared::Differs(format!(
        "the answers are not the same: before {old:?}, after {new:?}"
    )))
}

/// What the comparison of two answers says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// They are the same.
    Same,
    /// All that can be compared is the same; the text is another one each time.
    Varies,
    /// They are not, and how.
    Differs(String),
}

/// The first lines that are not the same, shortened.
fn first_difference<'t>(a: &'t str, b: &'t str) -> (&'t str, &'t str) {
    let short = |line: &'t str| match line.char_indices().nth(160) {
        Some((at, _)) => &line[..at],
        None => line,
    };
    let (mut a, mut b) = (a.lines(), b.lines());
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x == y => {}
            (x, y) => return (short(x.unwrap_or_default()), short(y.unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(firm: &str, text: &str) -> Answer {
        Answer {
            firm: vec![firm.into()],
            text: text.into(),
            log: Vec::new(),
            fine: true,
        }
    }

    #[test]
    fn answers_are_compared_and_what_varies_by_itself_proves_nothing() {
        let same = || Ok(answer("HTTP 200", "x\ny"));
        let one = answer("HTTP 200", "x\ny");
        assert_eq!(differ(&one, &one.clone(), same), Ok(Compared::Same));
        let other = answer("HTTP 200", "x\nz");
        let told = differ(&one, &other, same).expect("it is told");
        assert!(
            matches!(told, Compared::Differs(why) if why.contains("\"y\"") && why.contains("\"z\""))
        );
        let varies = || Ok(answer("HTTP 200", "q"));
        assert_eq!(differ(&one, &other, varies), Ok(Compared::Varies));
        let failed = answer("HTTP 500", "x\ny");
        assert!(matches!(
            differ(&one, &failed, same),
            Ok(Compared::Differs(_))
        ));
    }

    #[test]
    fn the_script_that_asks_is_one_that_a_shell_takes() {
        let script = script("http://127.0.0.1:1/it");
        let status = std::process::Command::new("sh")
            .args(["-n", "-c", &script])
            .status()
            .expect("there is a shell");
        assert!(status.success());
    }
}
