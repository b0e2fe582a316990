//! A cache as the prose of RFC 9111 has it: every message is text, everything that was ever stored
//! is kept in a list, and each question walks the list from its start. Slow, and small enough to be
//! right by reading it beside the RFC. It shares no code with Larder.

/// Field lines in order.
pub type Lines = Vec<(String, String)>;

/// A request for one target.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: &'static str,
    pub target: String,
    pub lines: Lines,
}

/// A response of the origin.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    pub lines: Lines,
    pub body: String,
}

/// A stored response with the request that it answered, and the moments of the last exchange
/// about it, in seconds since 1970.
#[derive(Clone, Debug)]
struct Stored {
    asked: Asked,
    said: Said,
    request_time: u64,
    response_time: u64,
    /// The lines, and their moments, that the age is counted from.
    dated: Lines,
}

/// A shared cache.
#[derive(Debug, Default)]
pub struct Reference {
    stored: Vec<Stored>,
}

/// The values of all lines with this name, in order.
pub fn values<'a>(lines: &'a Lines, name: &str) -> Vec<&'a str> {
    lines.iter().filter(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1.trim()).collect()
}

/// The members of a list, cut at commas that stand in no quoted string.
fn members(lines: &Lines, name: &str) -> Vec<String> {
    let mut out = Vec::new();
    for value in values(lines, name) {
        let (mut member, mut quoted, mut escaped) = (String::new(), false, false);
        for letter in value.chars() {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    out.push(std::mem::take(&mut member));
                    continue;
                }
                _ => {}
            }
            member.push(letter);
        }
        out.push(member);
    }
    out.into_iter().map(|member| member.trim().to_owned()).filter(|member| !member.is_empty()).collect()
}

/// What stands behind the `=` of each directive with this name; empty where there is no `=`.
fn directive(lines: &Lines, name: &str) -> Vec<String> {
    let directives = members(lines, "Cache-Control").into_iter().map(|member| {
        let (name, argument) = member.split_once('=').unwrap_or((&member, ""));
        (name.trim().to_lowercase(), argument.to_owned())
    });
    directives.filter(|directive| directive.0 == name).map(|directive| directive.1).collect()
}

fn has(lines: &Lines, name: &str) -> bool {
    !directive(lines, name).is_empty()
}

/// §1.2.2: "a non-negative integer", as large as one likes; quoted or not (§5.2).
fn delta_seconds(text: &str) -> Option<u64> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX).min(1 << 31))
}

/// §4.2.1: of several, or of one that can't be read, what makes the response stale soonest.
fn least(lines: &Lines, name: &str) -> Option<u64> {
    directive(lines, name).iter().map(|text| delta_seconds(text).unwrap_or(0)).min()
}

fn date(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

/// The one date under this name.
fn only_date(lines: &Lines, name: &str) -> Option<u64> {
    match values(lines, name).as_slice() {
        [only] => date(only),
        _ => None,
    }
}

/// §3, as a list of things of which each must hold; the first that does not.
pub fn may_be_stored(asked: &Asked, said: &Said) -> Result<(), &'static str> {
    let (asked_lines, said_lines) = (&asked.lines, &said.lines);
    let must = |holds: bool, reason: &'static str| if holds { Ok(()) } else { Err(reason) };
    must(asked.method == "GET", "the request method is understood")?;
    must(said.status >= 200, "the response status code is final")?;
    must(said.status != 206 && said.status != 304, "the cache understands the response status code")?;
    // §5.2.2.3: all codes of these tests but 599 are understood.
    let ignores_no_store = has(said_lines, "must-understand") && said.status != 599;
    must(!has(said_lines, "must-understand") || said.status != 599, "must-understand is understood")?;
    must(!has(said_lines, "no-store") || ignores_no_store, "no-store is not present in the response")?;
    must(!has(asked_lines, "no-store"), "no-store is not present in the request")?;
    must(directive(said_lines, "private").iter().all(|names| !names.is_empty()), "private is not present")?;
    let shares = ["must-revalidate", "public", "s-maxage"].iter().any(|name| has(said_lines, name));
    must(
        values(asked_lines, "Authorization").is_empty() || shares,
        "no Authorization, or shared caching is allowed",
    )?;
    let heuristic = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&said.status);
    let says_how_long = ["public", "max-age", "s-maxage"].iter().any(|name| has(said_lines, name))
        || !values(said_lines, "Expires").is_empty();
    must(says_how_long || heuristic, "the response says that it may be stored")
}

impl Stored {
    fn lines(&self) -> &Lines {
        &self.said.lines
    }

    /// When the origin made it: `Date`, or when it came.
    fn date(&self) -> u64 {
        only_date(self.lines(), "Date").unwrap_or(self.response_time)
    }

    /// §4.2.1, and §4.2.2 with ten percent, for at most a day.
    fn lifetime(&self) -> u64 {
        if let Some(seconds) = least(self.lines(), "s-maxage").or(least(self.lines(), "max-age")) {
            return seconds;
        }
        let expires = values(self.lines(), "Expires");
        if !expires.is_empty() {
            let until = |text: &&str| date(text).unwrap_or(0).saturating_sub(self.date());
            return expires.iter().map(until).min().unwrap_or(0);
        }
        let heuristic = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&self.said.status);
        match only_date(self.lines(), "Last-Modified") {
            Some(modified) if heuristic || has(self.lines(), "public") => {
                (self.date().saturating_sub(modified) / 10).min(86_400)
            }
            _ => 0,
        }
    }

    /// How far a lifetime is below zero: an Expires before Date, where nothing goes before it.
    fn below_zero(&self) -> u64 {
        if least(self.lines(), "s-maxage").or(least(self.lines(), "max-age")).is_some() {
            return 0;
        }
        let since = |text: &&str| date(text).map_or(0, |until| self.date().saturating_sub(until));
        values(self.lines(), "Expires").iter().map(since).max().unwrap_or(0)
    }

    /// §4.2.3, in its own names.
    fn current_age(&self, now: u64) -> u64 {
        let first = members(&self.dated, "Age").first().and_then(|text| delta_seconds(text));
        let age_value = first.unwrap_or(0);
        let date_value = only_date(&self.dated, "Date").unwrap_or(self.response_time);
        let apparent_age = self.response_time.saturating_sub(date_value);
        let response_delay = self.response_time - self.request_time;
        let corrected_age_value = age_value + response_delay;
        let corrected_initial_age = apparent_age.max(corrected_age_value);
        corrected_initial_age + (now - self.response_time)
    }

    /// §4.1.
    fn is_selected_by(&self, asked: &Asked) -> bool {
        let names = members(self.lines(), "Vary");
        let same = |name: &String| {
            let of = |lines: &Lines| {
                let present = !values(lines, name).is_empty();
                let mut members = members(lines, name);
                if name.eq_ignore_ascii_case("Accept-Encoding") {
                    members = members.iter().map(|member| member.to_lowercase()).collect();
                    members.sort();
                }
                present.then_some(members)
            };
            of(&self.asked.lines) == of(&asked.lines)
        };
        names.iter().all(|name| name != "*" && same(name))
    }

    fn forbids_stale(&self) -> bool {
        let forbids = |name: &&str| has(self.lines(), name);
        self.has_no_cache() || ["must-revalidate", "proxy-revalidate", "s-maxage"].iter().any(forbids)
    }

    /// §5.2.2.4: without names, it is about the whole response.
    fn has_no_cache(&self) -> bool {
        directive(self.lines(), "no-cache").iter().any(String::is_empty)
    }

    /// §4, with the directives of §5.2.1; the first thing that does not hold.
    fn may_answer(&self, asked: &Asked, now: u64) -> Result<(), &'static str> {
        let must = |holds: bool, reason: &'static str| if holds { Ok(()) } else { Err(reason) };
        let (age, lifetime, wishes) = (self.current_age(now), self.lifetime(), &asked.lines);
        must(asked.method == "GET" || asked.method == "HEAD", "the method can be answered from a store")?;
        must(
            self.asked.target == asked.target,
            "the presented target URI and that of the stored response match",
        )?;
        must(self.is_selected_by(asked), "the fields nominated by the stored response match")?;
        must(!self.has_no_cache(), "it does not contain no-cache")?;
        let pragma = values(wishes, "Cache-Control").is_empty()
            && members(wishes, "Pragma").iter().any(|member| member.eq_ignore_ascii_case("no-cache"));
        must(!has(wishes, "no-cache") && !pragma, "the client does not ask for validation")?;
        if age >= lifetime {
            let takes = |text: &String| match text.as_str() {
                "" => u64::MAX,
                text => delta_seconds(text).unwrap_or(0),
            };
            let max_stale = directive(wishes, "max-stale").iter().map(takes).min();
            let window = least(self.lines(), "stale-while-revalidate");
            let allowed = max_stale.max(window);
            must(
                allowed.is_some_and(|seconds| age + self.below_zero() - lifetime <= seconds),
                "it is fresh, or allowed to be served stale",
            )?;
            must(!self.forbids_stale(), "nothing prohibits a stale response")?;
        }
        must(
            least(wishes, "max-age").is_none_or(|seconds| age <= seconds),
            "it is as young as the client wants it",
        )?;
        let min_fresh =
            directive(wishes, "min-fresh").iter().map(|text| delta_seconds(text).unwrap_or(u64::MAX)).max();
        must(
            min_fresh.is_none_or(|seconds| lifetime >= age.saturating_add(seconds)),
            "it stays fresh for long enough",
        )
    }
}

impl Reference {
    /// An exchange has brought a response that is stored.
    pub fn store(&mut self, asked: &Asked, said: &Said, request_time: u64, response_time: u64) {
        self.stored.retain(|stored| stored.asked.target != asked.target || !stored.is_selected_by(asked));
        let dated = said.lines.clone();
        self.stored.push(Stored {
            asked: asked.clone(),
            said: said.clone(),
            request_time,
            response_time,
            dated,
        });
    }

    /// §4.3.4: a 304 to a request that asked about the stored response with this content.
    pub fn freshen(&mut self, body: &str, update: &Said, request_time: u64, response_time: u64) {
        for stored in self.stored.iter_mut().filter(|stored| stored.said.body == body) {
            let of_content = |name: &str| {
                ["content-length", "content-encoding", "content-range"]
                    .contains(&name.to_lowercase().as_str())
            };
            for (name, _) in update.lines.iter().filter(|line| !of_content(&line.0)) {
                stored.said.lines.retain(|line| !line.0.eq_ignore_ascii_case(name));
            }
            // A 304 without a date is of the moment when it came.
            if values(&update.lines, "Date").is_empty() {
                stored.said.lines.retain(|line| !line.0.eq_ignore_ascii_case("Date"));
            }
            stored.said.lines.extend(update.lines.iter().filter(|line| !of_content(&line.0)).cloned());
            stored.dated = update.lines.clone();
            (stored.request_time, stored.response_time) = (request_time, response_time);
        }
    }

    /// §4.4: a non-error response to an unsafe method.
    pub fn invalidate(&mut self, target: &str) {
        self.stored.retain(|stored| stored.asked.target != target);
    }

    /// Nothing with this content is stored any more.
    pub fn remove(&mut self, body: &str) {
        self.stored.retain(|stored| stored.said.body != body);
    }

    /// Whether this content may answer the request now, and the age that it then has.
    pub fn permits(&self, asked: &Asked, body: &str, now: u64) -> Result<u64, &'static str> {
        let stored = self.stored.iter().find(|stored| stored.said.body == body);
        let stored = stored.ok_or("it was sent by the origin, stored, and not invalidated since")?;
        stored.may_answer(asked, now).map(|()| stored.current_age(now))
    }

    /// The content of everything that may answer the request now.
    pub fn permitted(&self, asked: &Asked, now: u64) -> Vec<&str> {
        let usable = self.stored.iter().filter(|stored| stored.may_answer(asked, now).is_ok());
        usable.map(|stored| stored.said.body.as_str()).collect()
    }

    /// §4.2.4 and RFC 5861 §4: whether it may stand in for an origin that fails; a day where nobody
    /// says how long.
    pub fn permits_on_error(&self, asked: &Asked, body: &str, now: u64) -> bool {
        let Some(stored) = self.stored.iter().find(|stored| stored.said.body == body) else { return false };
        let limits = [least(stored.lines(), "stale-if-error"), least(&asked.lines, "stale-if-error")];
        let limit = limits.into_iter().flatten().min().unwrap_or(86_400);
        let staleness = stored.current_age(now).saturating_sub(stored.lifetime());
        stored.asked.target == asked.target && !stored.forbids_stale() && staleness <= limit
    }
}
