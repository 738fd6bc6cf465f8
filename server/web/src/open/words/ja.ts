/** Japanese for everybody: what the cameras are for, and how to check it. */
import type { Use } from '../api'

const USES: Record<Use, string> = { under_3: '0〜2件', '3_to_9': '3〜9件', '10_to_29': '10〜29件', from_30: '30件以上' }
const SUBJECTS: Record<string, string> = {
  account: 'アカウントと登録', family: '家族', police: '警察', footage: '映像の提供', city: '市の手続', board: '審査会', provider: '見守りサービス事業者',
  public: '誰でも', volunteer: '協力者', never: '決してしないこと', purpose: '目的',
}

export const ja = {
  title: '見守りカメラの公開ページ',
  lead: 'だれが、何のために、どのように映像を使うのか。市が何をしたのか。誰でも、ここで確かめられます。',
  contents: '目次',
  signIn: '職員・警察の方のサインイン',
  failed: 'この部分を読みこめませんでした。',
  retry: 'もう一度読みこむ',
  loading: '読みこんでいます…',

  what: 'このしくみについて',
  facts: (days: string) => [
    '公共の場所だけを写します。家の窓や庭は、録画する前に黒く塗りつぶします。',
    'いまの映像を見ている人はいません。録画を見てまわることも、できません。',
    `録画は${days}で消えます。申請が認められた部分だけ、決まった期間残ります。`,
    '映像を渡すには、三人の職員が別々に確認します。命が危ない緊急のときだけ、一人で決められます。その数も公表します。',
    '顔で人を探すことは、しません。そのための機能がありません。',
    '見守りタグの記録は、別の情報です。映像の申請では渡しません。',
  ],
  days: (n: number) => `${n}日`,
  someDays: '決まった日数',

  cameras: 'カメラの場所',
  camerasWhat: 'すべてのカメラの場所と目的です。使われた数は、30日前までの1年間に、映像を渡した申請の数です。',
  map: 'カメラの地図',
  mapKeys: 'カメラの地図。矢印キーで動かし、＋と−で大きさを変えます。同じ内容が下の一覧にあります。',
  search: 'カメラをさがす',
  count: (shown: number, all: number) => `${all}台のうち${shown}台`,
  noCameras: 'いま動いているカメラはありません。',
  noMatch: 'この名前のカメラはありません。',
  purposes: '目的',
  comma: '、',
  allPurposes: '条例のすべての目的',
  live: '運用開始',
  sign: '標示',
  notice: '公告',
  used: '使われた数',
  uses: USES,

  reports: '報告と台帳',
  open: '人の流れのデータ（オープンデータ）',
  openWhat: '見守りタグを持つ人の数を、およそ1km四方（基準地域メッシュ）と1時間ごとにまとめたものです。夜は数えません。少ないところは出しません。数には、わざと小さなずれを加えてあります。',
  openNone: 'まだ公表していません。',
  openNothing: '人数が少なく、この日の数は公表しません。',
  openOf: (day: string, form: string) => `${day} の ${form}`,

  log: '記録を確かめる',
  logWhat: '申請、承認、不承認、閲覧、廃棄。すべては、あとから変えれば分かる記録に残ります。',
  logWitnessed: '市の外の証人も署名しています。市だけで記録を作り直すことはできません。',
  logUnwitnessed: 'この要約には、市だけが署名しています。市の外の証人の署名は、まだありません。',
  logSize: (n: string) => `いま ${n} 件`,
  logRoot: '記録の要約（ルートハッシュ）',
  logSigners: '署名',
  logHow: ['公開鍵（log.vkey）を、市役所など別の道からも受け取り、同じか比べます。', '次の命令で、公開された記録の全体を確かめます。1件でも変わっていれば、どこかが分かります。'],
  logNone: '記録はまだ公開されていません。',

  policies: '判断の規則',
  policiesWhat: '見てよいか、渡してよいかは、この規則がすべて判断します。判断のたびに、どの規則によるかが記録に残ります。',
  digest: '規則の全体のハッシュ（SHA-256）',
  subjects: SUBJECTS,
  permits: 'できる',
  forbids: '条件・禁止',
  rules: (n: number) => `${n}件`,
}

export type OpenWords = typeof ja
