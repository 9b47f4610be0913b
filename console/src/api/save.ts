/** Saving files under just their own names. */

/**
 * Fetch a file and hand it to the browser to be saved. As plain text, a browser would call
 * `ssh_config` `ssh_config.txt`, and scripts that look for it beside them would not find it.
 */
export async function save(path: string, name: string): Promise<void> {
  const response = await fetch(path);
  if (!response.ok) throw await response.json();
  const content = await response.arrayBuffer();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
