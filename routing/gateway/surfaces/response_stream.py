"""The event sequence of a streamed response, written as a backend's chat stream arrives."""

from __future__ import annotations

from typing import Any

from routing.gateway.attempts import Usage
from routing.gateway.planning import Plan
from routing.gateway.surfaces import items
from routing.gateway.surfaces.shapes import finished, item_id, response_object
from routing.gateway.surfaces.translated import TranslatedStream, event


class ResponseStream(TranslatedStream):
    def __init__(self, plan: Plan) -> None:
        super().__init__(keeps_text=plan.route.capture != "none")
        self.sequence = 0
        self._plan = plan
        self._response = response_object(plan)
        self._output: list[dict[str, Any]] = []
        # The item that is being written: its key, its id, its pieces, and the call it makes.
        self._key = ""
        self._item = ""
        self._pieces: list[str] = []
        self._call: dict[str, Any] = {}

    def _event(self, kind: str, **fields: Any) -> bytes:
        made = event(kind, sequence_number=self.sequence, **fields)
        self.sequence += 1
        return made

    def _begun(self) -> bytes:
        if self.sequence:
            return b""
        return self._event("response.created", response=self._response) + self._event(
            "response.in_progress", response=self._response
        )

    def _open(self, key: str, call: dict[str, Any] | None = None) -> bytes:
        if self._key == key:
            return b""
        out = self._begun() + self._close("completed")
        self._key, self._pieces, self._call = key, [], call or {}
        index = len(self._output)
        self._item = item_id(self._plan, "msg" if call is None else "fc", index)
        if call is not None:
            item = items.call_item(self._item, call, "", status="in_progress")
            return out + self._event("response.output_item.added", output_index=index, item=item)
        item = items.text_item(self._item, "", status="in_progress")
        part = {"type": "refusal", "refusal": ""} if key == "refusal" else items.text_part("")
        return (
            out
            + self._event("response.output_item.added", output_index=index, item=item)
            + self._event("response.content_part.added", **self._place(), part=part)
        )

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": len(self._output), "content_index": 0}

    def _close(self, status: str) -> bytes:
        if not self._key:
            return b""
        text, index = "".join(self._pieces), len(self._output)
        if self._call:
            item = items.call_item(self._item, self._call, text, status=status)
            out = self._event(
                "response.function_call_arguments.done",
                item_id=self._item,
                output_index=index,
                name=item["name"],
                arguments=text,
            )
        else:
            is_refusal = self._key == "refusal"
            item = items.text_item(self._item, text, status=status, is_refusal=is_refusal)
            place = self._place()
            out = (
                self._event("response.refusal.done", **place, refusal=text)
                if is_refusal
                else self._event("response.output_text.done", **place, text=text, logprobs=[])
            )
            out += self._event("response.content_part.done", **place, part=item["content"][0])
        out += self._event("response.output_item.done", output_index=index, item=item)
        self._output.append(item)
        self._key = ""
        return out

    def said(self, text: str) -> bytes:
        out = self._open("text")
        self._pieces.append(text)
        return out + self._event(
            "response.output_text.delta", **self._place(), delta=text, logprobs=[]
        )

    def refused(self, text: str) -> bytes:
        out = self._open("refusal")
        self._pieces.append(text)
        return out + self._event("response.refusal.delta", **self._place(), delta=text)

    def called(self, call: dict[str, Any], place: int) -> bytes:
        out = self._open(f"call-{call.get('index', place)}", call)
        piece = (call.get("function") or {}).get("arguments")
        if not piece:
            return out
        self._pieces.append(piece)
        return out + self._event(
            "response.function_call_arguments.delta",
            item_id=self._item,
            output_index=len(self._output),
            delta=piece,
        )

    def closing(self, usage: Usage) -> bytes:
        out = self._begun()
        whole = finished(
            self._response,
            output=self._output,
            finish_reason=self.finish_reason,
            usage={
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
            },
        )
        out += self._close(whole["status"])
        return out + self._event(f"response.{whole['status']}", response=whole)
