import { createHmac } from "node:crypto";

const { LM_ACCESS_ID, LM_ACCESS_KEY, METHOD, BODY, RESOURCE } = process.env;
const epoch = Date.now();
const digest = createHmac("sha256", LM_ACCESS_KEY).update(METHOD.toLowerCase() + epoch + RESOURCE + BODY).digest("hex");
const signature = Buffer.from(digest).toString("base64");
console.log(`LMv1 ${LM_ACCESS_ID}:${signature}:${epoch}`);
