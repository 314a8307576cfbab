// transactions lists those that have not ended.
import {h} from "./dom.js";
import {get} from "./api.js";
import {ago, duration, whole} from "./format.js";
import {badge, empty, heading, table} from "./parts.js";

export function transactions() {
  let list;
  return {
    title: "Transactions", every: 5000,
    load: async signal => { list = await get("/v1/transactions", {}, {query: {limit: 200}, signal}) },
    view: () => [heading("Transactions"), h("p", {class: "soft", key: "about"}, "Those that have not ended, the oldest first. Readers of committed records wait for them."),
      list.transactions.length ? table({caption: "Open transactions", rows: list.transactions, key: t => t.transactional_id, columns: [
        {head: "Transactional id", name: true, cell: t => t.transactional_id}, {head: "State", cell: t => badge(t.state, "busy")},
        {head: "Began", num: true, cell: t => ago(t.began)}, {head: "Ends at the latest after", num: true, minor: true, cell: t => duration(t.timeout_ms)},
        {head: "Partitions", num: true, cell: t => whole(t.partitions)}, {head: "Producer", num: true, minor: true, cell: t => `${t.producer_id}, epoch ${t.producer_epoch}`},
      ]}) : empty("No transaction is open: nobody waits."),
      list.more ? h("p", {class: "soft", key: "more"}, "There are more than these.") : null],
  };
}
