// Conversations, kept in this browser's IndexedDB.

let opened;

function database() {
  opened ||= new Promise((resolve, reject) => {
    const request = indexedDB.open("penstock", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("conversations", { keyPath: "id" }).createIndex("updated", "updated");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run(mode, work) {
  const tx = (await database()).transaction("conversations", mode);
  const request = work(tx.objectStore("conversations"));
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve(request?.result);
    tx.onerror = tx.onabort = () => reject(tx.error);
  });
}

export const all = async () => (await run("readonly", (s) => s.index("updated").getAll())).reverse();
export const load = (id) => run("readonly", (s) => s.get(id));
export const save = (conversation) => run("readwrite", (s) => s.put(conversation));
export const remove = (id) => run("readwrite", (s) => s.delete(id));

// channel tells the other tabs of this page that conversations have changed.
export const channel = "BroadcastChannel" in self ? new BroadcastChannel("penstock") : null;
