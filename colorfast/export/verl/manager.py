"""verl's plain reward manager, which also tells the reward whether a reply reached the length cap.
The reward needs this because the unfinished last sentence of such a reply earns nothing, and the
text alone does not show it."""

from __future__ import annotations

from typing import Any

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class CappedRewardManager(NaiveRewardManager):
    """Sets `truncated` in a reply's extra_info: the reply has the maximum length and does not end
    with an end token."""

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Reward the last reply of `data`."""
        item = data[-1:][0]
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        full = length >= self.config.data.max_response_length
        ended = int(ids[length - 1]) in self.tokenizer.all_special_ids
        item.non_tensor_batch["extra_info"]["truncated"] = full and not ended
        return await super().run_single(data)
