"""A stand-in for the part of a W&B server's HTTP interface that the client of wandb 0.31 calls: GraphQL, file streams, file uploads.

It keeps what arrives and answers the client's own questions from it, so that a run can be uploaded and read back by the real client.
It knows nothing of accounts, permissions or rendering.
"""

import base64
import gzip
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENTITY = "someone"
KEY = "0" * 40  # the shape of a key, and no key


class WandbServer(ThreadingHTTPServer):
    """runs:    {id: what upsertBucket was told, history, summary, exit code}
    artifacts: {id: name, type, run, digest, state}
    files:     {path: bytes}, of runs and artifacts
    views:   {id: a saved board}
    sweeps:  {id: its file's content, and `draws`, {run id: {parameter: value}} that are still to be handed out}
    unknown:   operations that were asked for and are not answered here
    lose:      {epoch: how many more rows of it the server drops}, to see whether that is noticed
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs, self.artifacts, self.files, self.views, self.sweeps, self.unknown, self.lose = {}, {}, {}, {}, {}, [], {}
        self.lock = threading.Lock()

    def handle_error(self, request, client_address):
        """A client that goes away in the middle of a request is no error of the server's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def answer(self, query, variables):
        """The data of one GraphQL request."""
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query).group(1)
        with self.lock:
            if not hasattr(self, operation):
                self.unknown.append(operation)
                return {}
            return getattr(self, operation)(**variables)

    # What the client asks of the server as such.

    def ServerFeaturesQuery(self, **_):
        return {"serverInfo": {"features": []}}

    def Viewer(self, **_):
        viewer = {"id": "VXNlcjox", "entity": ENTITY, "username": ENTITY, "name": ENTITY, "email": "", "flags": "{}", "admin": False}
        return {"viewer": viewer | {"teams": {"edges": []}, "apiKeys": {"edges": []}, "deletedAt": None}}

    GetViewer = GetDefaultEntity = Viewer

    def OrganizationCoreWeaveOrganizationID(self, **_):
        return {"entity": {"organization": None}}

    # A run: its page, its rows, its files.

    def UpsertBucket(self, name, project, **fields):
        new = name not in self.runs
        run = self.runs.setdefault(name, {"name": name, "project": project, "config": {}, "history": [], "summary": {}, "exitcode": None})
        config = json.loads(fields.pop("config") or "{}")
        run["config"].update(config)
        run.update({key: value for key, value in fields.items() if value is not None})
        return {"upsertBucket": {"bucket": self._bucket(run), "inserted": new}}

    def RunResumeStatus(self, project, name, **_):
        model = {"id": "TW9kZWw6MQ==", "name": project, "entity": {"id": "RW50aXR5OjE=", "name": ENTITY}}
        return {"model": model | {"bucket": self._bucket(self.runs[name]) if name in self.runs else None}}

    def Run(self, name, **_):
        return {"project": {"run": self._bucket(self.runs[name]) if name in self.runs else None}}

    RunHistoryKeys = Run

    def _bucket(self, run):
        state = {None: "running", 0: "finished"}.get(run["exitcode"], "failed")
        keys = {"keys": {}, "lastStep": max((row["_step"] for row in run["history"]), default=-1)}
        return {
            "id": f"bucket-{run['name']}",
            "projectId": 1,
            "project": {"id": "1", "name": run["project"], "entity": {"id": "1", "name": ENTITY}},
            "state": state,
            "group": run.get("groupName"),
            "historyKeys": keys,
            "historyLineCount": len(run["history"]),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run["history"][-1:]]),
            "eventsTail": "[]",
            "summaryMetrics": json.dumps(run["summary"]),
            "config": json.dumps(run["config"]),
            "wandbConfig": json.dumps({"t": run["config"].get("_wandb", {}).get("value", {}).get("t")}),
            "systemMetrics": "{}",
            "createdAt": "2026-01-01T00:00:00Z",
            "readOnly": False,
            "user": {"name": ENTITY, "username": ENTITY},
            **{key: run.get(key) for key in ("name", "displayName", "tags", "jobType", "sweepName", "description", "notes", "commit")},
        }

    def RunParquetHistory(self, runName, **_):
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": self.runs[runName]["history"]}}}}

    def HistoryPage(self, run, minStep, maxStep, **_):
        rows = [json.dumps(row) for row in self.runs[run]["history"] if minStep <= row["_step"] < maxStep]
        return {"project": {"run": {"history": rows}}}

    def CreateRunFiles(self, run, files, **_):
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/run/{run}/{name}"} for name in files]
        return {"createRunFiles": {"runID": f"bucket-{run}", "uploadHeaders": [], "files": files}}

    def MarkRunFilesUploaded(self, **_):
        return {"markRunFilesUploaded": {"success": True}}

    def stream(self, run, body):
        """One request of a run's file stream: rows of history, the summary, the exit code."""
        with self.lock:
            run = self.runs[run]
            for name, part in (body.get("files") or {}).items():
                if name == "wandb-history.jsonl":
                    run["history"] += [row for row in map(_loads, part["content"]) if not self._loses(row)]
                elif name == "wandb-summary.json":
                    run["summary"] = _loads(part["content"][-1])
            if body.get("complete"):
                run["exitcode"] = body["exitcode"]

    def _loses(self, row):
        epoch = row.get("epoch")
        self.lose[epoch] = self.lose.get(epoch, 0) - 1
        return self.lose[epoch] >= 0

    # Artifacts: created, their files and manifest uploaded, committed.

    def ArtifactType(self, **_):
        return {"project": None}

    def CreateArtifact(self, input):
        found = [a for a in self.artifacts.values() if (a["name"], a["digest"]) == (input["artifactCollectionName"], input["digest"])]
        if found:
            return {"createArtifact": {"artifact": self._created(found[0])}}
        id = f"artifact{len(self.artifacts)}"
        self.artifacts[id] = {
            "id": id,
            "state": "PENDING",
            "name": input["artifactCollectionName"],
            "type": input["artifactTypeName"],
            "run": input["runName"],
            "digest": input["digest"],
            "metadata": input["metadata"],
        }
        return {"createArtifact": {"artifact": self._created(self.artifacts[id])}}

    def _created(self, artifact):
        return {"id": artifact["id"], "state": artifact["state"], "artifactSequence": {"latestArtifact": None}}

    def CreateArtifactManifest(self, artifactID, name, **_):
        manifest = {"id": artifactID, "file": {"id": artifactID, "uploadUrl": None, "uploadHeaders": []}}
        manifest["file"]["uploadUrl"] = f"{self.url}/storage/artifact/{artifactID}/{name}"
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def UpdateArtifactManifest(self, artifactManifestID, **_):
        manifest = self.CreateArtifactManifest(artifactManifestID, "wandb_manifest.json")["createArtifactManifest"]
        return {"updateArtifactManifest": manifest}

    def CreateArtifactFiles(self, input):
        nodes = [
            {
                "storagePath": f"artifact/{spec['artifactID']}/{spec['name']}",
                "uploadUrl": f"{self.url}/storage/artifact/{spec['artifactID']}/{spec['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
            for spec in input["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, artifactID):
        self.artifacts[artifactID]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": self.artifacts[artifactID]["digest"]}}}

    def RunOutputArtifacts(self, run, **_):
        made = [artifact for artifact in self.artifacts.values() if artifact["run"] == run and artifact["state"] == "COMMITTED"]
        edges = [{"node": self._artifact(artifact), "cursor": artifact["id"]} for artifact in made]
        page = {"totalCount": len(made), "edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        return {"project": {"run": {"artifacts": page}}}

    def _artifact(self, artifact):
        project = {"id": "1", "internalId": "1", "name": self.runs[artifact["run"]]["project"], "entity": {"name": ENTITY}}
        return {
            "artifactSequence": {"name": artifact["name"], "project": project},
            "artifactType": {"name": artifact["type"]},
            "versionIndex": 0,
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "size": 0,
            "fileCount": 0,
            "createdAt": "2026-01-01T00:00:00Z",
            "tags": [],
            **dict.fromkeys(("description", "historyStep", "commitHash", "updatedAt")),
            **{key: artifact[key] for key in ("id", "state", "digest", "metadata")},
        }

    # Sweeps: an agent asks what to run until it is told to go.

    def SweepWithRuns(self, sweep, **_):
        config = {key: value for key, value in self.sweeps[sweep].items() if key != "draws"}
        found = {"id": sweep, "name": sweep, "state": "RUNNING", "config": json.dumps(config), "runs": {"edges": []}}
        return {"project": {"sweep": found}}

    def CreateAgent(self, sweep, **_):
        return {"createAgent": {"agent": {"id": sweep}}}

    def Heartbeat(self, id, runState, **_):
        sweep, commands = self.sweeps[id], []
        if not json.loads(runState):
            commands = [{"type": "exit"}]
            if sweep["draws"]:
                run, drawn = sweep["draws"].popitem()
                args = {key: {"value": value} for key, value in drawn.items()}
                commands = [{"type": "run", "run_id": run, "program": sweep["program"], "args": args}]
        return {"agentHeartbeat": {"agent": {"id": id}, "commands": json.dumps(commands)}}

    # Boards.

    def UpsertView2(self, name, spec, **fields):
        id = fields.get("id") or f"view{len(self.views)}"
        inserted = id not in self.views
        self.views[id] = {"name": name, "spec": json.loads(spec), **fields}
        return {"upsertView": {"view": {"id": id, "name": name}, "inserted": inserted}}


def _loads(line):
    """The client writes NaN and infinity as such; its own reader wants them as text."""
    return json.loads(line, parse_constant=str)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _body(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, content, status=200):
        content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        body = self._body()
        if self.path.startswith("/sdk/otel/"):  # the client's own telemetry
            return self._reply({})
        body = json.loads(body)
        given = self.headers.get("Authorization", "")
        if given != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            return self._reply({"errors": [{"message": "invalid key"}]}, 401)
        if self.path == "/graphql":
            return self._reply({"data": self.server.answer(body["query"], body.get("variables") or {})})
        self.server.stream(self.path.split("/")[-2], body)
        return self._reply({"exitcode": None, "limits": {}})

    def do_PUT(self):
        self.server.files[self.path.removeprefix("/storage/")] = self._body()
        self._reply({})

    def do_GET(self):
        content = self.server.files.get(self.path.removeprefix("/storage/"))
        self._reply({}, 404) if content is None else self._reply(json.loads(content))
