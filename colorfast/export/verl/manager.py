"""verl's plain reward manager, which also tells the reward whether a reply hit the length cap: its
unfinished last sentence earns nothing, and the text alone does not show it."""

from __future__ import annotations

from typing import Any

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class CappedRewardManager(NaiveRewardManager):
    """Sets `truncated` in a reply's extra_info: it is as long as may be, and does not end with an
    end token."""

    async def run_single(self, data: Any) -> dict[str, Any]:
        item = data[-1:][0]
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        full = length >= self.config.data.max_response_length
        item.non_tensor_batch["extra_info"]["truncated"] = (
            full and int(ids[length - 1]) not in self.tokenizer.all_special_ids
        )
        return await super().run_single(data)
