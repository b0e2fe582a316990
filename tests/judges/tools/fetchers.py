"""Programs and libraries that fetch one file."""

from tool import Tool, python, node

FILE_URL = '"$URL/file.bin"'
SYSTEM = "/usr/bin/python3 -c"
NO_VARIABLE = "reads no variable that names certificates: it works where the system trusts Larder's authority (larder ca install)"
LIBCURL = "libcurl itself " + NO_VARIABLE


def fetchers():
    return [*command_line(), *of_python(), *of_node(), *of_others()]


def command_line():
    return [
        Tool("curl", f"curl -sfo got {FILE_URL}", ("curl",), quick=True),
        Tool("wget", f"wget -qO got {FILE_URL}", ("wget",), quick=True),
        Tool("wget2", f"wget2 -qO got {FILE_URL}", ("wget2",), why="wget2 1.99 begins TLS with the proxy, whose address begins with http"),
        Tool("HTTPie", f"http --ignore-stdin --quiet -d -o got {FILE_URL}", ("http:httpie",)),
        Tool("aria2", f"aria2c -q -o got {FILE_URL}", ("aria2c:aria2",), why=NO_VARIABLE),
        Tool("lftp", f'lftp -c "set net:max-retries 1; set net:timeout 10; get $URL/file.bin -o got"', ("lftp",),
             why="lftp sends CONNECT in HTTP/1.1 without Host, which RFC 9112, section 3.2, has a server refuse"),
        Tool("axel", f"axel -q -n 1 -o got {FILE_URL}", ("axel",)),
        Tool("w3m", f"w3m -dump_source {FILE_URL} >got", ("w3m",)),
        Tool("lynx", f"lynx -source {FILE_URL} >got", ("lynx",)),
        Tool("rclone copyurl", f"rclone --retries 1 --low-level-retries 1 copyurl {FILE_URL} got", ("rclone",)),
    ]


def of_python():
    return [
        python("Python urllib", "import urllib.request; save(urllib.request.urlopen(u).read())", quick=True),
        python("Python http.client", "import http.client; c=http.client.HTTPSConnection(u.split('/')[2]); c.request('GET','/file.bin'); save(c.getresponse().read())",
               why="http.client has no proxies: its caller would have to ask for one"),
        python("requests", "import requests; save(requests.get(u).content)", "requests"),
        python("httpx, HTTP/1.1", "import httpx; save(httpx.get(u).content)", "httpx[http2]"),
        python("httpx, HTTP/2", "import httpx; save(httpx.Client(http2=True).get(u).content)", "httpx[http2]"),
        python("aiohttp", """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as s, s.get(u) as r: save(await r.read())
asyncio.run(main())""", "aiohttp", why="aiohttp reads no variables unless its session has trust_env"),
        python("aiohttp, trust_env", """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as s, s.get(u) as r: save(await r.read())
asyncio.run(main())""", "aiohttp"),
        python("urllib3, PoolManager", "import urllib3; save(urllib3.PoolManager(retries=False).request('GET', u).data)", "urllib3",
               why="PoolManager reads no variables; ProxyManager takes the proxy as an argument"),
        python("urllib3, ProxyManager", "import urllib3; p=os.environ.get('HTTPS_PROXY'); c=os.environ['SSL_CERT_FILE']\n"
               "m=urllib3.ProxyManager(p, ca_certs=c) if p else urllib3.PoolManager(ca_certs=c)\nsave(m.request('GET', u).data)", "urllib3"),
        python("pycurl", "import pycurl, io; b=io.BytesIO(); c=pycurl.Curl(); c.setopt(c.URL, u); c.setopt(c.WRITEDATA, b); c.perform(); save(b.getvalue())", "pycurl", why=LIBCURL),
        python("httplib2", "import httplib2; save(httplib2.Http().request(u)[1])", "httplib2", why="httplib2 uses a proxy only where PySocks is installed"),
        python("httplib2 with PySocks", "import httplib2; save(httplib2.Http().request(u)[1])", "httplib2", "PySocks"),
        Tool("Debian's pycurl", f"""{SYSTEM} "import os, pycurl, io; b=io.BytesIO(); c=pycurl.Curl(); c.setopt(c.URL, os.environ['URL']+'/file.bin')
c.setopt(c.WRITEDATA, b); c.perform(); open('got','wb').write(b.getvalue())" """, ("/usr/share/doc/python3-pycurl:python3-pycurl",), why=LIBCURL),
    ]


def of_node():
    return [
        node("Node fetch", "fetch(u).then(r=>r.arrayBuffer()).then(save)",
             why="Node 20: its fetch and https read the proxy's variables from Node 24 on, and 22 from 22.21 on"),
        node("Node https", "require('https').get(u,r=>{const b=[];r.on('data',d=>b.push(d)).on('end',()=>save(Buffer.concat(b)))})",
             why="as Node fetch"),
        node("undici, EnvHttpProxyAgent", "const {request,EnvHttpProxyAgent}=require('undici');"
             "request(u,{dispatcher:new EnvHttpProxyAgent()}).then(r=>r.body.arrayBuffer()).then(save)", "undici@6"),
        node("axios", "require('axios').get(u,{responseType:'arraybuffer'}).then(r=>save(r.data))", "axios@1"),
        node("got", "import('$NODE/node_modules/got/dist/source/index.js').then(g=>g.default(u).buffer()).then(save)", "got@14",
             why="got uses the agents that it is given, and reads no variables itself"),
        node("node-fetch", "require('node-fetch')(u).then(r=>r.arrayBuffer()).then(save)", "node-fetch@2",
             why="node-fetch uses the agent that it is given, and reads no variables itself"),
    ]


def of_others():
    java = 'cp "$JUDGE/Fetch.java" . && exec java Fetch.java'
    return [
        Tool("Perl LWP", "perl -MLWP::Simple -e 'exit(is_success(getstore($ENV{URL}.\"/file.bin\", \"got\")) ? 0 : 1)'",
             ("/usr/share/doc/liblwp-protocol-https-perl:liblwp-protocol-https-perl", "perl")),
        Tool("Perl HTTP::Tiny", "perl -MHTTP::Tiny -e '$r=HTTP::Tiny->new(verify_SSL=>1)->mirror($ENV{URL}.\"/file.bin\",\"got\"); exit !$r->{success}'",
             ("/usr/share/doc/libio-socket-ssl-perl:libio-socket-ssl-perl", "perl"), quick=True),
        Tool("Ruby net/http", "ruby -rnet/http -e 'File.binwrite(\"got\", Net::HTTP.get(URI(ENV[\"URL\"]+\"/file.bin\")))'", ("ruby",)),
        Tool("Ruby open-uri", "ruby -ropen-uri -e 'File.binwrite(\"got\", URI.open(ENV[\"URL\"]+\"/file.bin\").read)'", ("ruby",)),
        Tool("Go net/http", '"$BUILT/fetch"', ("go:golang-go",), build='cp "$JUDGE/fetch.go" . && go build -o fetch fetch.go'),
        Tool("Java HttpClient", f"{java} client", ("java:", "javac:"), quick=True),
        Tool("Java HttpURLConnection", f"{java} connection", ("java:", "javac:"), quick=True),
        Tool("PHP streams", "php -r 'copy(getenv(\"URL\").\"/file.bin\", \"got\") || exit(1);'", ("php:php-cli",),
             why="PHP's streams take a proxy from a context alone; no variable and no setting gives them one"),
        Tool("PHP curl", "php -r '$c=curl_init(getenv(\"URL\").\"/file.bin\"); curl_setopt($c, CURLOPT_RETURNTRANSFER, 1);"
             " $b=curl_exec($c); $b===false && exit(1); file_put_contents(\"got\",$b);'", ("php:php-cli", "/usr/share/doc/php-curl:php-curl")),
    ]
